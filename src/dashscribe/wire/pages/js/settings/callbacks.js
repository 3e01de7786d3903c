// Callbacks: who is told when a task has ended, and what became of that.

import { del, get, patch, post, V1 } from "../api.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../loading.js";
import { Button } from "../components/button.js";
import { confirm } from "../components/dialog.js";
import { Page } from "../components/page.js";
import { Empty, Loaded } from "../components/states.js";
import { toast, toastError } from "../components/toast.js";
import { Deliveries } from "./deliveries.js";
import { TargetDialog } from "./target.js";

const TARGETS = `${V1}/callbacks/targets`;

export default function Callbacks() {
  const targets = useLoad((signal) => get(TARGETS, {}, { signal }));
  const [edited, setEdited] = useState(null); // a target, {} for a new one
  const [sent, setSent] = useState(0); // how often something was sent, so that the log looks again
  const saved = () => { setEdited(null); targets.reload(); toast(t("callbacks.saved")); };
  const action = html`<${Button} kind="primary" icon="plus" onClick=${() => setEdited({})}>${t("callbacks.new")}<//>`;
  return html`<${Page} title=${t("callbacks.title")} lead=${t("callbacks.lead")} actions=${action}>
    <${Loaded} from=${targets}>${(told) => told.targets.length === 0
      ? html`<${Empty} icon="bell" title=${t("callbacks.emptyTitle")} action=${action}>${t("callbacks.empty")}<//>`
      : html`<div class="cards">${told.targets.map((target) => html`<${Target} key=${target.id} target=${target}
          onEdit=${() => setEdited(target)} onChange=${targets.reload} onSent=${() => setSent(sent + 1)} />`)}</div>`}<//>
    <${Deliveries} turn=${sent} />
    ${edited && html`<${TargetDialog} target=${edited} onClose=${() => setEdited(null)} onSaved=${saved} />`}
  <//>`;
}

function Target({ target, onEdit, onChange, onSent }) {
  const { id, url, name, paused, fixed, failures, models, statuses, server_wide: wide } = target;
  const path = `${TARGETS}/${encodeURIComponent(id)}`;
  const [busy, setBusy] = useState("");
  const run = async (what, act) => {
    setBusy(what);
    try {
      await act();
    } catch (error) {
      toastError(error);
    }
    setBusy("");
  };
  const test = () => run("test", async () => { await post(`${path}/test`); toast(t("callbacks.tested")); onSent(); });
  const pause = () => run("pause", async () => { await patch(path, { paused: !paused }); onChange(); });
  const remove = () => confirm({
    title: t("callbacks.deleteTitle"),
    text: t("callbacks.deleteText", { url }),
    action: t("action.delete"),
    danger: true,
    act: () => del(path),
  }).then((done) => { if (done) { toast(t("callbacks.deleted")); onChange(); } });
  const told = [
    models.length ? models.join(", ") : t("callbacks.allModels"),
    statuses.length ? statuses.map((status) => t(`status.${status}`)).join(", ") : t("callbacks.allStatuses"),
    wide && t("callbacks.wide"),
  ];
  return html`<article class="card stack close">
    <header>
      <div><h2>${name || url}</h2>${name && html`<p class="mono">${url}</p>`}<p class="soft"><small>${told.filter(Boolean).join(" · ")}</small></p></div>
      <div class="row">
        ${paused && html`<span class="tag warn">${t("callbacks.paused")}</span>`}
        ${failures > 0 && html`<span class="tag bad">${t("callbacks.failures", { count: failures })}</span>`}
        ${fixed && html`<span class="tag plain">${t("callbacks.fixed")}</span>`}
      </div>
    </header>
    <div class="buttons">
      <${Button} kind="small" icon="bell" busy=${busy === "test"} onClick=${test}>${t("callbacks.test")}<//>
      ${!fixed && html`
        <${Button} kind="small" icon=${paused ? "play" : "pause"} busy=${busy === "pause"} onClick=${pause}>${t(paused ? "callbacks.go" : "callbacks.pause")}<//>
        <${Button} kind="small" icon="edit" onClick=${onEdit}>${t("action.edit")}<//>
        <${Button} kind="small quiet" icon="trash" label=${t("callbacks.deleteOf", { url })} onClick=${remove} />`}
    </div>
  </article>`;
}
