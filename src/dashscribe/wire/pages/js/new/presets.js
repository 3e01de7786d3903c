// Options under a name, so that what is transcribed every week is set up once.

import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { isComposing, Select, TextField } from "../components/field.js";
import { toast } from "../components/toast.js";
import { dropPreset, fitted, keepPreset, presets } from "./options.js";

export function Presets({ options, onOptions }) {
  const [named, setNamed] = useState(presets);
  const [asking, setAsking] = useState(false);
  const words = JSON.stringify(options);
  const used = Object.keys(named).find((name) => JSON.stringify(fitted(named[name])) === words) ?? "";
  const forget = () => { dropPreset(used); setNamed(presets()); toast(t("new.presetGone", { name: used })); };
  const keep = (name) => { keepPreset(name, options); setNamed(presets()); setAsking(false); };
  return html`<div class="presets">
    ${Object.keys(named).length > 0 && html`<${Select} label=${t("new.preset")} value=${used}
      options=${[["", t("new.presetNone")], ...Object.keys(named).map((name) => [name, name])]}
      onValue=${(name) => name && onOptions(fitted(named[name]))} />`}
    <div class="buttons">
      ${used ? html`<${Button} kind="small quiet" icon="trash" onClick=${forget}>${t("new.presetDrop")}<//>`
        : html`<${Button} kind="small quiet" icon="star" onClick=${() => setAsking(true)}>${t("new.presetKeep")}<//>`}
    </div>
    ${asking && html`<${Ask} onClose=${() => setAsking(false)} onName=${keep} />`}
  </div>`;
}

function Ask({ onClose, onName }) {
  const [name, setName] = useState("");
  const submit = () => name.trim() && onName(name.trim().slice(0, 60));
  const enter = (event) => { if (event.key === "Enter" && !isComposing(event)) { event.preventDefault(); submit(); } };
  const actions = html`<${Button} onClick=${onClose}>${t("action.cancel")}<//>
    <${Button} kind="primary" disabled=${!name.trim()} onClick=${submit}>${t("action.save")}<//>`;
  return html`<${Dialog} title=${t("new.presetKeep")} onClose=${onClose} actions=${actions}>
    <${TextField} label=${t("new.presetName")} hint=${t("new.presetHint")} value=${name} onValue=${setName} onKeyDown=${enter} maxlength="60" />
  <//>`;
}
