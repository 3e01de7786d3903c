// Who says a sentence, and what that speaker is called everywhere.

import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Select, TextField } from "../components/field.js";
import { speakerName } from "./view.js";

/** `sentence` is as it was when somebody asked: another window may remove it meanwhile, and its speaker still gets the name. */
export function SpeakerDialog({ transcript, sentence, onClose }) {
  const speakers = transcript.speakers();
  const fresh = transcript.freeSpeaker();
  const [speaker, setSpeaker] = useState(sentence.speaker ?? speakers[0] ?? fresh);
  const [name, setName] = useState(transcript.names[speaker] ?? "");
  const choose = (value) => {
    setSpeaker(Number(value));
    setName(transcript.names[value] ?? "");
  };
  const save = (event) => {
    event?.preventDefault();
    transcript.setSpeaker(sentence.key, speaker);
    transcript.rename(speaker, name.trim());
    onClose();
  };
  const options = speakers.map((number) => [String(number), speakerName(transcript.names, number)]);
  const actions = html`<${Button} onClick=${onClose}>${t("action.cancel")}<//><${Button} kind="primary" onClick=${save}>${t("action.save")}<//>`;
  return html`<${Dialog} title=${t("review.speakerTitle")} onClose=${onClose} actions=${actions}>
    <form class="stack" onSubmit=${save}>
      <blockquote class="quoted" lang=${sentence.language}>${sentence.text}</blockquote>
      <${Select} label=${t("review.saidBy")} value=${String(speaker)} options=${[...options, [String(fresh), t("review.newSpeaker")]]} onValue=${choose} />
      <${TextField} label=${t("review.nameOf")} hint=${t("review.nameHint")} value=${name} maxlength="100" autofocus
        placeholder=${speakerName({}, speaker)} onValue=${setName} />
      <button type="submit" hidden></button>
    </form>
  <//>`;
}
