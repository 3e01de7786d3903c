// The same recording once more, with another model or other settings: as a recording of its own, beside which the old one stays.

import { get, post, V1 } from "../api.js";
import { t } from "../i18n.js";
import { html, useRef, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Check, Select } from "../components/field.js";
import { ErrorNote, Loaded } from "../components/states.js";
import { useLoad } from "../loading.js";
import { useChoices } from "../new/choices.js";
import { Languages, Settings } from "../new/form.js";
import { optionsOf } from "../new/options.js";
import { parameters } from "../new/submit.js";
import { go } from "../router.js";
import { pathOf } from "./recording.js";

/** `compare`: go to the comparison of both; else to the new recording, since the old one has no text. */
export function AgainDialog({ recording, compare, onClose }) {
  const models = useLoad((signal) => get(`${V1}/models`, {}, { signal }), []);
  const [model, setModel] = useState("");
  const [options, setOptions] = useState(null); // null: as they were
  const censor = useRef(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const names = runnable(models.data);
  const chosen = model || names.find(([name]) => name !== recording.model)?.[0] || recording.model;
  const start = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const row = models.data.models.find(({ name }) => name === chosen);
      const made = await post(`${pathOf(recording.id)}/again`, { model: chosen, ...(options && { parameters: parameters({ ...options, censor: options.censored ? censor.current : null }, row) }) });
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
      <${Loaded} from=${models}>${({ models: rows }) => html`<${Select} label=${t("review.model")} value=${chosen} options=${names} onValue=${setModel} />
        <${Check} label=${t("review.otherSettings")} hint=${t("review.otherSettingsHint")} checked=${options !== null}
          onValue=${(yes) => setOptions(yes ? optionsOf(recording.options ?? {}) : null)} />
        ${options && html`<${OtherSettings} options=${options} onOptions=${setOptions} censor=${censor} model=${rows.find(({ name }) => name === chosen)} />`}`}<//>
      ${error && html`<${ErrorNote} error=${error} />`}
    </form>
  <//>`;
}

/** `censor` is a ref that gets the saved sensitive words. */
function OtherSettings({ options, onOptions, censor, model }) {
  const choices = useChoices(options);
  censor.current = choices.data?.censor;
  return html`<${Loaded} from=${choices}>${(found) => html`<div class="options">
    <${Languages} options=${options} set=${(languages) => onOptions({ ...options, languages })} models=${[model]} />
    <${Settings} options=${options} onOptions=${onOptions} choices=${found} model=${model} /></div>`}<//>`;
}

/** The names that take tasks and that an engine here would run, with that engine. */
function runnable(answer) {
  const models = (answer?.models ?? []).filter((one) => one.call === "async" && one.engine && !one.retired);
  return models.map((one) => [one.name, `${one.name} (${one.engine})`]);
}
