// What the library is asked for: words, state, model, days. It stands in the address, so that Back and links keep it.

import { get } from "../api.js";
import { t } from "../i18n.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { useLoad } from "../loading.js";
import { place, setQuery } from "../router.js";
import { Button } from "../components/button.js";
import { Icon } from "../components/icons.js";

const STATUSES = ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"];
const PAUSE_MS = 300; // after the last key, before the server is asked

/** The query of the call from the query of the page; days are whole days of the browser's zone. */
export function wanted(query, pageSize) {
  const start = (day, more) => {
    const [year, month, date] = day.split("-").map(Number);
    return new Date(year, month - 1, date + more).getTime();
  };
  return {
    q: query.q,
    status: query.status,
    model: query.model,
    since: query.from && start(query.from, 0),
    until: query.to && start(query.to, 1) - 1,
    page_no: query.page ?? 1,
    page_size: pageSize,
  };
}

/** The search field and the filters. Any change goes back to the first page. */
export function Filters({ query }) {
  // On top of the query as it is then: words are taken over a moment after they are typed, and filters meanwhile.
  const change = (values) => setQuery({ ...place.get().query, page: undefined, ...values });
  const narrowed = query.status || query.model || query.from || query.to;
  const [open, setOpen] = useState(Boolean(narrowed));
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <div class="row">
      <${Search} text=${query.q ?? ""} onText=${(q) => change({ q })} />
      <${Button} aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>${t("library.filters")}<//>
      ${narrowed && html`<${Button} kind="quiet" onClick=${() => setQuery({ q: query.q })}>${t("library.clear")}<//>`}
    </div>
    ${open && html`<${Narrowed} query=${query} change=${change} />`}
  </form>`;
}

function Search({ text, onText }) {
  const [typed, setTyped] = useState(text);
  const timer = useRef(0);
  const told = useRef(text);
  useEffect(() => {
    if (text !== told.current) setTyped(text); // changed elsewhere: by Back, or cleared
    told.current = text;
  }, [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (value) => {
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => { told.current = value; onText(value); }, PAUSE_MS);
  };
  return html`<label class="search grow"><${Icon} name="search" /><span class="unseen">${t("library.search")}</span>
    <input class="input" type="search" value=${typed} placeholder=${t("library.searchHint")} onInput=${(event) => type(event.target.value)} />
  </label>`;
}

function Narrowed({ query, change }) {
  const models = useLoad(async (signal) => {
    const told = await get("api/v1/models", { page_size: 100 }, { signal });
    return told.output.models.map(({ model }) => model);
  });
  const select = (name, label, options) => html`<label class="field"><span class="label">${label}</span>
    <select class="select" onChange=${(event) => change({ [name]: event.target.value })}>
      <option value="" selected=${!query[name]}>${t("library.any")}</option>
      ${options.map(([value, text]) => html`<option key=${value} value=${value} selected=${value === query[name]}>${text}</option>`)}
    </select></label>`;
  const date = (name, label) => html`<label class="field"><span class="label">${label}</span>
    <input class="input" type="date" value=${query[name] ?? ""} onChange=${(event) => change({ [name]: event.target.value })} /></label>`;
  return html`<div class="narrowed">
    ${select("status", t("library.status"), STATUSES.map((status) => [status, t(`status.${status}`)]))}
    ${select("model", t("library.model"), (models.data ?? []).map((model) => [model, model]))}
    ${date("from", t("library.from"))}${date("to", t("library.to"))}
  </div>`;
}
