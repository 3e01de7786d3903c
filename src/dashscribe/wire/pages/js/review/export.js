// The transcript as a file: as it is edited or as it was recognized.

import { download } from "../api.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Check, Select } from "../components/field.js";
import { ErrorNote } from "../components/states.js";
import { recall, remember } from "../store.js";
import { pathOf } from "./recording.js";

export const FORMATS = ["txt", "md", "docx", "srt", "vtt", "tsv", "json"];
const CAPTIONS = ["default", "chinese", "broadcast", "social"];
const isCaption = (format) => format === "srt" || format === "vtt";
const hasTimes = (format) => ["txt", "md", "docx"].includes(format);
const hasSpeakers = (format) => format !== "json" && format !== "tsv";

export function ExportDialog({ recording, edited, before, onClose }) {
  const [format, setFormat] = useState(recall("export", "docx"));
  const [version, setVersion] = useState("edited");
  const [speakers, setSpeakers] = useState(true);
  const [times, setTimes] = useState(true);
  const [captions, setCaptions] = useState("default");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const save = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    remember("export", format);
    const query = { format, version };
    if (hasSpeakers(format)) query.speakers = speakers;
    if (hasTimes(format)) query.times = times;
    if (isCaption(format)) query.captions = captions;
    try {
      await before();
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
          onChange=${() => setFormat(one)} /><span><b>${t(`review.format.${one}`)}</b><small>${t(`review.format.${one}.for`)}</small></span></label>`)}
      </fieldset>
      ${edited && html`<${Select} label=${t("review.version")} value=${version} onValue=${setVersion}
        options=${[["edited", t("review.version.edited")], ["original", t("review.version.original")]]} />`}
      ${isCaption(format) && html`<${Select} label=${t("review.captions")} value=${captions} onValue=${setCaptions}
        options=${CAPTIONS.map((name) => [name, t(`review.captions.${name}`)])} />`}
      ${hasSpeakers(format) && html`<${Check} label=${t("review.withSpeakers")} checked=${speakers} onValue=${setSpeakers} />`}
      ${hasTimes(format) && html`<${Check} label=${t("review.withTimes")} checked=${times} onValue=${setTimes} />`}
      ${error && html`<${ErrorNote} error=${error} />`}
      <button type="submit" hidden></button>
    </form>
  <//>`;
}
