// Saving recordings as files, several in one archive.

import { download, V1 } from "../api.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { recall, remember } from "../store.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Check } from "../components/field.js";
import { ErrorNote } from "../components/states.js";

const FORMATS = ["txt", "md", "docx", "srt", "vtt", "tsv", "json"];

/** What was chosen here the last time; the page of one recording remembers its own choice. */
const NAME = "export.library";

function remembered() {
  const chosen = recall(NAME);
  return Array.isArray(chosen) ? FORMATS.filter((one) => chosen.includes(one)) : ["txt"];
}

/** Asks for the formats, remembered from the last time, and saves a zip of `ids`. */
export function ExportDialog({ ids, onClose }) {
  const [formats, setFormats] = useState(remembered);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const flip = (format, yes) => setFormats(FORMATS.filter((one) => (one === format ? yes : formats.includes(one))));
  const save = async () => {
    setBusy(true);
    setError(null);
    try {
      await download(`${V1}/recordings/export`, { method: "POST", body: { ids, formats }, name: "recordings.zip" });
      remember(NAME, formats);
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const actions = html`<${Button} onClick=${onClose}>${t("action.cancel")}<//>
    <${Button} kind="primary" icon="download" busy=${busy} disabled=${!formats.length} onClick=${save}>${t("action.export")}<//>`;
  return html`<${Dialog} title=${t("library.exportTitle", { count: ids.length })} onClose=${onClose} actions=${actions}>
    <fieldset class="choices"><legend class="soft">${t("library.exportText")}</legend>
      ${FORMATS.map((format) => html`<${Check} key=${format} label=${t(`format.${format}`)} checked=${formats.includes(format)} onValue=${(yes) => flip(format, yes)} />`)}
    </fieldset>
    ${error && html`<${ErrorNote} error=${error} />`}
  <//>`;
}
