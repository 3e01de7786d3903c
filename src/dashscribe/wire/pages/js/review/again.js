// The same recording once more, with another model: as a recording of its own, beside which the old one stays.

import { get, post, V1 } from "../api.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Select } from "../components/field.js";
import { ErrorNote, Loaded } from "../components/states.js";
import { useLoad } from "../loading.js";
import { go } from "../router.js";
import { pathOf } from "./recording.js";

/** `compare`: go to the comparison of both; else to the new recording, since the old one has no text. */
export function AgainDialog({ recording, compare, onClose }) {
  const models = useLoad((signal) => get(`${V1}/models`, {}, { signal }), []);
  const [model, setModel] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const names = runnable(models.data);
  const chosen = model || names.find(([name]) => name !== recording.model)?.[0] || recording.model;
  const start = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const made = await post(`${pathOf(recording.id)}/again`, { model: chosen });
      const part = encodeURIComponent(made.id);
      go(compare ? `/compare/${encodeURIComponent(recording.id)}/${part}` : `/recordings/${part}`);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const actions = html`<${Button} onClick=${onClose}>${t("action.cancel")}<//>
    <${Button} kind="primary" busy=${busy} disabled=${!models.data} onClick=${start}>${t("review.again")}<//>`;
  return html`<${Dialog} title=${t(compare ? "review.againTitle" : "review.again")} onClose=${onClose} actions=${actions}>
    <form class="stack" onSubmit=${start}>
      <p>${t(compare ? "review.againText" : "review.againFailed")}</p>
      <${Loaded} from=${models}>${() => html`<${Select} label=${t("review.model")} value=${chosen} options=${names} onValue=${setModel} />`}<//>
      ${error && html`<${ErrorNote} error=${error} />`}
    </form>
  <//>`;
}

/** The names that take tasks and that an engine here would run, with that engine. */
function runnable(answer) {
  const models = (answer?.models ?? []).filter((one) => one.call === "async" && one.engine && !one.retired);
  return models.map((one) => [one.name, `${one.name} (${one.engine})`]);
}
