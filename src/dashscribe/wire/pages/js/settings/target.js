// A callback target as a form.

import { patch, post, V1 } from "../api.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { session } from "../session.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Check, Select, TextField } from "../components/field.js";
import { ErrorNote } from "../components/states.js";

const STATUSES = ["SUCCEEDED", "FAILED", "CANCELED"];
const POLICIES = ["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"];
const SCHEMES = ["current", "legacy"];

/** `target` is {} for a new one. A token that is there is kept unless another is typed. */
export function TargetDialog({ target, onClose, onSaved }) {
  const fresh = !target.id;
  const [url, setUrl] = useState(target.url ?? "");
  const [name, setName] = useState(target.name ?? "");
  const [models, setModels] = useState((target.models ?? []).join(", "));
  const [statuses, setStatuses] = useState(target.statuses ?? []);
  const [policy, setPolicy] = useState(target.policy ?? POLICIES[0]);
  const [signature, setSignature] = useState(SCHEMES.includes(target.signature) ? target.signature : SCHEMES[0]);
  const [token, setToken] = useState("");
  const [wide, setWide] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const save = async () => {
    setBusy(true);
    setError(null);
    const named = models.split(/[,，\s]+/).filter(Boolean);
    const members = { url: url.trim(), name: name.trim(), models: named, statuses, policy, signature, ...(token && { token }) };
    try {
      if (fresh) await post(`${V1}/callbacks/targets`, { ...members, ...(wide && { server_wide: true }) });
      else await patch(`${V1}/callbacks/targets/${encodeURIComponent(target.id)}`, members);
      onSaved();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const flip = (status, yes) => setStatuses(STATUSES.filter((one) => (one === status ? yes : statuses.includes(one))));
  const actions = html`<${Button} onClick=${onClose}>${t("action.cancel")}<//>
    <${Button} kind="primary" busy=${busy} disabled=${!url.trim()} onClick=${save}>${t("action.save")}<//>`;
  return html`<${Dialog} title=${t(fresh ? "callbacks.new" : "callbacks.edit")} onClose=${onClose} actions=${actions}>
    <${TextField} label=${t("callbacks.url")} hint=${t("callbacks.urlHint")} type="url" value=${url} onValue=${setUrl} placeholder="https://example.com/asr-done" />
    <${TextField} label=${t("callbacks.name")} value=${name} onValue=${setName} />
    <fieldset class="choices"><legend>${t("callbacks.statuses")}</legend>
      ${STATUSES.map((status) => html`<${Check} key=${status} label=${t(`status.${status}`)} checked=${statuses.includes(status)} onValue=${(yes) => flip(status, yes)} />`)}
    </fieldset>
    <${TextField} label=${t("callbacks.models")} hint=${t("callbacks.modelsHint")} value=${models} onValue=${setModels} />
    <${TextField} label=${t("callbacks.token")} hint=${target.token_hint ? t("callbacks.tokenKept", { hint: target.token_hint }) : t("callbacks.tokenHint")}
      type="password" autocomplete="off" value=${token} onValue=${setToken} />
    <${Select} label=${t("callbacks.policy")} value=${policy} options=${POLICIES.map((one) => [one, t(`callbacks.policy.${one}`)])} onValue=${setPolicy} />
    <${Select} label=${t("callbacks.signature")} value=${signature} options=${SCHEMES.map((one) => [one, t(`callbacks.signature.${one}`)])} onValue=${setSignature} />
    ${fresh && session.get().me?.operates && html`<${Check} label=${t("callbacks.wide")} hint=${t("callbacks.wideHint")} checked=${wide} onValue=${setWide} />`}
    ${error && html`<${ErrorNote} error=${error} />`}
  <//>`;
}
