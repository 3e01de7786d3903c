// Where recordings come from: dropped or chosen files, and links.

import { bytes, t } from "../i18n.js";
import { html, useRef, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { TextArea } from "../components/field.js";
import { Icon } from "../components/icons.js";
import { Note } from "../components/states.js";
import { add } from "./uploads.js";

/** Takes files by drag and drop or by a button; `most` is the largest size that the server takes. */
export function DropZone({ most }) {
  const input = useRef(null);
  const [over, setOver] = useState(false);
  const [refused, setRefused] = useState([]);
  const take = (list) => {
    const files = [...list];
    const large = files.filter((file) => most && file.size > most);
    const empty = files.filter((file) => file.size === 0);
    setRefused([...large.map((file) => t("new.tooLarge", { name: file.name, size: bytes(file.size), most: bytes(most) })),
      ...empty.map((file) => t("new.isEmpty", { name: file.name }))]);
    add(files.filter((file) => !large.includes(file) && !empty.includes(file)));
  };
  const drop = (event) => { event.preventDefault(); setOver(false); take(event.dataTransfer.files); };
  const chosen = (event) => { take(event.target.files); event.target.value = ""; };
  return html`<div class="drop ${over ? "over" : ""}" onDragOver=${(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave=${() => setOver(false)} onDrop=${drop}>
      <${Icon} name="upload" size=${28} />
      <p>${t("new.drop")}</p>
      <${Button} onClick=${() => input.current.click()}>${t("new.choose")}<//>
      <input type="file" ref=${input} multiple hidden accept="audio/*,video/*,.amr,.silk,.opus,.mkv,.flv,.wma,.ape,.caf" onChange=${chosen} />
      <small class="soft">${most ? t("new.formats", { most: bytes(most) }) : ""}</small>
    </div>
    ${refused.length > 0 && html`<${Note} kind="warn">${refused.map((text) => html`<p key=${text}>${text}</p>`)}<//>`}`;
}

/** Links, one on each line. */
export function Links({ text, onText }) {
  return html`<${TextArea} label=${t("new.links")} hint=${t("new.linksHint")} value=${text} onValue=${onText} rows="3"
    spellcheck="false" placeholder="https://example.com/talk.mp3" />`;
}
