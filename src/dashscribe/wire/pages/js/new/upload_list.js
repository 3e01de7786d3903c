// The files that are on their way, each with its progress and what can be done about it.

import { bytes, percent, t } from "../i18n.js";
import { html } from "../lib.js";
import { link } from "../router.js";
import { Button } from "../components/button.js";
import { Icon } from "../components/icons.js";
import { Progress } from "../components/progress.js";
import { ErrorNote } from "../components/states.js";
import { clearDone, drop, resume, stop } from "./uploads.js";

export function UploadList({ items }) {
  if (!items.length) return null;
  const done = items.some(({ state }) => state === "submitted");
  return html`<div class="stack close">
    <ul class="uploads" aria-label=${t("new.files")}>${items.map((item) => html`<${Item} key=${item.id} item=${item} />`)}</ul>
    ${done && html`<div class="buttons"><${Button} kind="small quiet" onClick=${clearDone}>${t("new.clearDone")}<//></div>`}
  </div>`;
}

function Item({ item }) {
  const { id, name, size, state, sent, error, taskId } = item;
  const about = { name };
  return html`<li>
    <${Icon} name=${state === "submitted" ? "check" : "file"} />
    <div class="stack close">
      <p class="name">${state === "submitted" ? html`<a href=${link(`/recordings/${taskId}.0`)}>${name}</a>` : name}</p>
      ${state === "uploading"
        ? html`<${Progress} label=${t("new.uploadOf", about)} done=${sent} total=${size}>${percent(sent / size)} · ${bytes(size)}<//>`
        : html`<p class="soft"><small>${told(item)}</small></p>`}
      ${error && html`<${ErrorNote} error=${error} retry=${() => resume(id)} />`}
    </div>
    <div class="buttons">
      ${state === "uploading" && html`<${Button} kind="small quiet" icon="pause" label=${t("new.stop", about)} onClick=${() => stop(id)} />`}
      ${state === "stopped" && html`<${Button} kind="small quiet" icon="play" label=${t("new.resume", about)} onClick=${() => resume(id)} />`}
      ${state !== "submitted" && html`<${Button} kind="small quiet" icon="close" label=${t("new.drop1", about)} onClick=${() => drop(id)} />`}
    </div>
  </li>`;
}

function told({ state, size, sent, order }) {
  const values = { size: bytes(size), share: percent(size ? sent / size : 0) };
  if (state === "uploaded") return t(order ? "new.state.handing" : "new.state.uploaded", values);
  return t(`new.state.${state}`, values);
}
