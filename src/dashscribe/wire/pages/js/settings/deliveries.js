// The log of deliveries: what was sent to whom, what came back, and sending it again.

import { get, post, V1 } from "../api.js";
import { instant, number, t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad, usePolling } from "../loading.js";
import { link } from "../router.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Select } from "../components/field.js";
import { Loaded, Note } from "../components/states.js";
import { Table } from "../components/table.js";
import { toast, toastError } from "../components/toast.js";

const DELIVERIES = `${V1}/callbacks/deliveries`;
const STATES = { waiting: "busy", sending: "busy", delivered: "good", dead: "bad", dropped: "" };
const LIMIT = 20;

/** `turn` changes when something new was sent. */
export function Deliveries({ turn }) {
  const [state, setState] = useState("");
  const [count, setCount] = useState(LIMIT);
  const [shown, setShown] = useState(null);
  const ask = (signal) => get(DELIVERIES, { state, limit: Math.min(100, count) }, { signal });
  const log = useLoad(ask, [state, count, turn]);
  const deliveries = log.data?.deliveries ?? [];
  usePolling(async (signal) => {
    const now = await ask(signal);
    const changed = JSON.stringify(now.deliveries) !== JSON.stringify(deliveries);
    log.setData(now);
    return changed;
  }, deliveries.some((one) => one.state === "waiting" || one.state === "sending"), [state, count, turn]);
  const replay = async ({ id }) => {
    try {
      await post(`${DELIVERIES}/${id}/replay`);
      toast(t("callbacks.replayed"));
      log.reload();
    } catch (error) {
      toastError(error);
    }
  };
  return html`<section class="stack close" aria-labelledby="deliveries">
    <div class="row spread below"><h2 id="deliveries">${t("callbacks.deliveries")}</h2>
      <div><${Select} label=${t("callbacks.state")} value=${state} onValue=${setState}
        options=${[["", t("callbacks.anyState")], ...Object.keys(STATES).map((one) => [one, t(`callbacks.state.${one}`)])]} /></div></div>
    <${Loaded} from=${log}>${(told) => (told.deliveries.length
      ? html`<${Log} deliveries=${told.deliveries} onShow=${setShown} onReplay=${replay} />` : html`<${Note}><p>${t("callbacks.noDeliveries")}</p><//>`)}<//>
    ${deliveries.length >= count && count < 100 && html`<div class="buttons"><${Button} kind="small" onClick=${() => setCount(100)}>${t("callbacks.moreDeliveries")}<//></div>`}
    ${shown && html`<${Event} delivery=${shown} onClose=${() => setShown(null)} />`}
  </section>`;
}

function Log({ deliveries, onShow, onReplay }) {
  const outcome = ({ http_status: status, error }) => [status && `HTTP ${status}`, error].filter(Boolean).join(" · ");
  const columns = [
    { title: t("callbacks.when"), draw: ({ created_at: at }) => html`<time datetime=${at}>${instant(at)}</time>` },
    { title: t("callbacks.state"), draw: ({ state }) => html`<span class="tag ${STATES[state]}">${t(`callbacks.state.${state}`)}</span>` },
    { title: t("callbacks.target"), draw: ({ target_url: url }) => html`<span class="mono">${url}</span>` },
    { title: t("callbacks.task"), draw: ({ task_id: id, test }) => (test ? t("callbacks.isTest") : html`<a href=${link(`/recordings/${id}.0`)}><code>${id.slice(0, 8)}</code></a>`) },
    { title: t("callbacks.attempts"), end: true, draw: ({ attempts }) => number(attempts) },
    { title: t("callbacks.outcome"), draw: (one) => html`<span lang="en">${outcome(one)}</span>` },
    { title: html`<span class="unseen">${t("callbacks.actions")}</span>`, tight: true, draw: (one) => html`<div class="row">
      <${Button} kind="small" onClick=${() => onShow(one)}>${t("callbacks.event")}<//>
      ${(one.state === "delivered" || one.state === "dead") && html`<${Button} kind="small" icon="retry" onClick=${() => onReplay(one)}>${t("callbacks.replay")}<//>`}
    </div>` },
  ];
  return html`<${Table} label=${t("callbacks.deliveries")} columns=${columns} rows=${deliveries} keyOf=${({ id }) => id} />`;
}

function Event({ delivery, onClose }) {
  const told = useLoad((signal) => get(`${DELIVERIES}/${delivery.id}`, {}, { signal }));
  const actions = html`<${Button} onClick=${onClose}>${t("action.close")}<//>`;
  return html`<${Dialog} wide title=${t("callbacks.event")} onClose=${onClose} actions=${actions}>
    <${Loaded} from=${told}>${({ event, response }) => html`
      <pre class="event" tabindex="0">${JSON.stringify(event, null, 2)}</pre>
      ${response && html`<h3>${t("callbacks.response")}</h3><pre class="event" tabindex="0">${response}</pre>`}`}<//>
  <//>`;
}
