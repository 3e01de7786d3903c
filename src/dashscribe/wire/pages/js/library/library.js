// The library: all recordings, found by what was said in them, watched while they are transcribed.

import { get, post, V1 } from "../api.js";
import { number, t } from "../i18n.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { useLoad, usePolling } from "../loading.js";
import { go, link, setQuery } from "../router.js";
import { Button, LinkButton } from "../components/button.js";
import { confirm } from "../components/dialog.js";
import { Page } from "../components/page.js";
import { Empty, Loaded } from "../components/states.js";
import { toast } from "../components/toast.js";
import { ExportDialog } from "./export.js";
import { Filters, wanted } from "./filters.js";
import { Recording } from "./recording.js";

const PAGE_SIZE = 20;

/** What may still change, hence is asked for again. */
const live = (recording) => recording.status === "PENDING" || recording.status === "RUNNING";

export default function Library({ query }) {
  const asked = wanted(query, PAGE_SIZE);
  const words = JSON.stringify(asked);
  const ask = (signal) => get(`${V1}/recordings`, asked, { signal });
  const found = useLoad(ask, [words]);
  const [picked, setPicked] = useState(new Set());
  const [exporting, setExporting] = useState(false);
  const recordings = found.data?.recordings ?? [];

  useEffect(() => { // the page has been emptied: to the last one that is there
    if (!found.data || recordings.length || !found.data.total) return;
    const last = Math.ceil(found.data.total / found.data.page_size);
    setQuery({ ...query, page: last === 1 ? undefined : last });
  }, [found.data]);

  const latest = useRef(recordings);
  latest.current = recordings;
  usePolling(async (signal) => {
    const now = await ask(signal);
    const changed = JSON.stringify(now.recordings) !== JSON.stringify(latest.current);
    found.setData(now);
    return changed;
  }, recordings.some(live), [words]);

  const here = recordings.filter(({ id }) => picked.has(id)).map(({ id }) => id);
  const pick = (id, yes) => setPicked((before) => {
    const after = new Set(before);
    if (yes) after.add(id);
    else after.delete(id);
    return after;
  });
  const done = here.filter((id) => recordings.find((one) => one.id === id).status === "SUCCEEDED");
  const compare = here.length === 2 && done.length === 2 && (() => go(`/compare/${done.map(encodeURIComponent).reverse().join("/")}`)); // the older one on the left
  const remove = async () => {
    let result = null;
    const isDone = await confirm({
      title: t("library.deleteTitle", { count: here.length }),
      text: t("library.deleteText"),
      action: t("action.delete"),
      danger: true,
      act: async () => { result = await post(`${V1}/recordings/delete`, { ids: here }); },
    });
    if (!isDone) return;
    setPicked(new Set());
    found.reload();
    const [count, gone] = [result.deleted.length, result.not_found.length];
    toast(t(gone ? "library.deletedOthers" : "library.deleted", { count, gone }));
  };

  const action = html`<${LinkButton} kind="primary" icon="plus" href=${link("/new")}>${t("nav.new")}<//>`;
  return html`<${Page} title=${t("library.title")} lead=${t("library.lead")} actions=${action}>
    <${Filters} query=${query} />
    <${Loaded} from=${found}>${(told) => told.total === 0
      ? html`<${Nothing} query=${query} />`
      : html`<section class="stack close" aria-label=${t("library.title")} aria-busy=${found.loading}>
          <${Bar} told=${told} here=${here} done=${done} recordings=${recordings} onCompare=${compare} onAll=${(yes) => setPicked(new Set(yes ? recordings.map(({ id }) => id) : []))}
            onExport=${() => setExporting(true)} onDelete=${remove} />
          <ul class="recordings">${recordings.map((one) => html`<${Recording} key=${one.id} recording=${one} q=${query.q}
            picked=${picked.has(one.id)} onPick=${(yes) => pick(one.id, yes)} />`)}</ul>
          <${Pages} told=${told} query=${query} />
        </section>`}<//>
    ${exporting && html`<${ExportDialog} ids=${here} onClose=${() => setExporting(false)} />`}
  <//>`;
}

function Bar({ told, here, done, recordings, onAll, onCompare, onExport, onDelete }) {
  const all = recordings.length > 0 && here.length === recordings.length;
  const some = (element) => { if (element) element.indeterminate = here.length > 0 && !all; };
  return html`<div class="bar row spread">
    <label class="check"><input type="checkbox" ref=${some} checked=${all} onChange=${(event) => onAll(event.target.checked)} />
      <span>${here.length ? t("library.picked", { count: here.length }) : t("library.total", { count: told.total })}</span></label>
    ${here.length > 0 && html`<div class="buttons">
      ${onCompare && html`<${Button} kind="small" icon="compare" onClick=${onCompare}>${t("library.compare")}<//>`}
      <${Button} kind="small" icon="download" disabled=${!done.length} onClick=${onExport}>${t("action.export")}<//>
      <${Button} kind="small danger" icon="trash" onClick=${onDelete}>${t("action.delete")}<//>
    </div>`}
  </div>`;
}

function Pages({ told, query }) {
  const last = Math.max(1, Math.ceil(told.total / told.page_size));
  if (last === 1) return null;
  const to = (page) => { setQuery({ ...query, page: page === 1 ? undefined : page }); window.scrollTo(0, 0); };
  return html`<nav class="row" aria-label=${t("library.pages")}>
    <${Button} kind="small" icon="back" label=${t("action.previous")} disabled=${told.page_no <= 1} onClick=${() => to(told.page_no - 1)} />
    <span class="number">${t("library.page", { page: number(told.page_no), last: number(last) })}</span>
    <${Button} kind="small" icon="next" label=${t("action.next")} disabled=${told.page_no >= last} onClick=${() => to(told.page_no + 1)} />
  </nav>`;
}

/** Nothing at all yet, or nothing that fits what is asked for. */
function Nothing({ query }) {
  if (Object.keys(query).length) {
    const action = html`<${Button} onClick=${() => setQuery({})}>${t("library.clear")}<//>`;
    return html`<${Empty} icon="search" title=${t("library.noHitsTitle")} action=${action}>${t("library.noHits")}<//>`;
  }
  const action = html`<${LinkButton} kind="primary" icon="plus" href=${link("/new")}>${t("nav.new")}<//>`;
  return html`<${Empty} title=${t("library.emptyTitle")} action=${action}>${t("library.empty")}<//>`;
}
