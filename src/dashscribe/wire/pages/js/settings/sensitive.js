// Sensitive words: what is masked in transcripts, and what is left out of them.

import { get, put, V1 } from "../api.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../loading.js";
import { Button } from "../components/button.js";
import { Check, TextArea } from "../components/field.js";
import { Page } from "../components/page.js";
import { ErrorNote, Loaded, Note } from "../components/states.js";
import { toast } from "../components/toast.js";

const linesOf = (words) => words.join("\n");
const wordsOf = (text) => [...new Set(text.split("\n").map((line) => line.trim()).filter(Boolean))];

export default function Sensitive() {
  const words = useLoad((signal) => get(`${V1}/sensitive-words`, {}, { signal }));
  return html`<${Page} title=${t("sensitive.title")} lead=${t("sensitive.lead")}>
    <${Loaded} from=${words}>${(told) => html`<${Form} told=${told} onSaved=${words.setData} />`}<//>
  <//>`;
}

function Form({ told, onSaved }) {
  const [masked, setMasked] = useState(linesOf(told.masked ?? []));
  const [removed, setRemoved] = useState(linesOf(told.removed ?? []));
  const [system, setSystem] = useState(told.system ?? true);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const wanted = { masked: wordsOf(masked), removed: wordsOf(removed), system };
  const same = JSON.stringify(wanted) === JSON.stringify({ masked: told.masked ?? [], removed: told.removed ?? [], system: told.system ?? true });
  const save = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await put(`${V1}/sensitive-words`, wanted);
      onSaved(wanted);
      toast(t("sensitive.saved"));
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return html`<form class="stack" onSubmit=${save}>
    <div class="two">
      <${TextArea} label=${t("sensitive.masked")} hint=${t("sensitive.maskedHint")} value=${masked} onValue=${setMasked} rows="10" spellcheck="false" />
      <${TextArea} label=${t("sensitive.removed")} hint=${t("sensitive.removedHint")} value=${removed} onValue=${setRemoved} rows="10" spellcheck="false" />
    </div>
    <${Check} label=${t("sensitive.system")} hint=${t("sensitive.systemHint")} checked=${system} onValue=${setSystem} />
    <${Note}><p>${t("sensitive.when")}</p><//>
    ${error && html`<${ErrorNote} error=${error} />`}
    <div class="buttons"><${Button} type="submit" kind="primary" busy=${busy} disabled=${same}>${t("action.save")}<//></div>
  </form>`;
}
