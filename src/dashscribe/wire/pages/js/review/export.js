// The transcript as a file: as it is edited or as it was recognized.

import { download } from "../api.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Check, Select } from "../components/field.js";
import { ErrorNote, Note } from "../components/states.js";
import { recall, remember } from "../store.js";
import { pathOf } from "./recording.js";

const FORMATS = ["txt", "md", "docx", "srt", "vtt", "tsv", "json"];
const CAPTIONS = ["default", "chinese", "broadcast", "social"];
const isCaption = (format) => format === "srt" || format === "vtt";
const hasTimes = (format) => ["txt", "md", "docx"].includes(format);
const hasSpeakers = (format) => format !== "json" && format !== "tsv";

/** What was chosen here the last time; the library's dialog, for several at once, remembers its own choice. */
const NAME = "export.recording";

function remembered() {
  const { format, speakers = true, times = true, captions } = recall(NAME) ?? {};
  return {
    format: FORMATS.includes(format) ? format : "docx",
    speakers,
    times,
    captions: CAPTIONS.includes(captions) ? captions : "default",
  };
}

/** `before()` saves what is not saved, and gives whether it could. */
export function ExportDialog({ recording, edited, before, onClose }) {
  const [choice, setChoice] = useState(remembered);
  const [version, setVersion] = useState("edited");
  const { format, speakers, times, captions } = choice;
  const choose = (part) => setChoice((now) => ({ ...now, ...part }));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const save = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    remember(NAME, choice);
    const query = { format, version };
    if (hasSpeakers(format)) query.speakers = speakers;
    if (hasTimes(format)) query.times = times;
    if (isCaption(format)) query.captions = captions;
    try {
      if (version === "edited" && !(await before())) {
        setError("unsaved");
        setBusy(false);
        return;
      }
      await download(`${pathOf(recording.id)}/export`, { query, name: `${recording.id}.${format}` });
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const actions = html`<${Button} onClick=${onClose}>${t("action.cancel")}<//>
    <${Button} kind="primary" icon="download" busy=${busy} onClick=${save}>${t("review.download")}<//>`;
  return html`<${Dialog} title=${t("review.export")} onClose=${onClose} actions=${actions}>
    <form class="stack" onSubmit=${save}>
      <fieldset class="formats"><legend>${t("review.format")}</legend>
        ${FORMATS.map((one) => html`<label key=${one} class="format"><input type="radio" name="format" value=${one} checked=${format === one}
          onChange=${() => choose({ format: one })} /><span><b>${t(`review.format.${one}`)}</b><small>${t(`review.format.${one}.for`)}</small></span></label>`)}
      </fieldset>
      ${edited && html`<${Select} label=${t("review.version")} value=${version} onValue=${setVersion}
        options=${[["edited", t("review.version.edited")], ["original", t("review.version.original")]]} />`}
      ${isCaption(format) && html`<${Select} label=${t("review.captions")} value=${captions} onValue=${(name) => choose({ captions: name })}
        options=${CAPTIONS.map((name) => [name, t(`review.captions.${name}`)])} />`}
      ${hasSpeakers(format) && html`<${Check} label=${t("review.withSpeakers")} checked=${speakers} onValue=${(yes) => choose({ speakers: yes })} />`}
      ${hasTimes(format) && html`<${Check} label=${t("review.withTimes")} checked=${times} onValue=${(yes) => choose({ times: yes })} />`}
      ${error === "unsaved" ? html`<${Note} kind="bad"><p role="alert">${t("review.exportUnsaved")}</p><//>` : error && html`<${ErrorNote} error=${error} />`}
      <button type="submit" hidden></button>
    </form>
  <//>`;
}
