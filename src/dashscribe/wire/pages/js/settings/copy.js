// Copying, also where the browser gives its clipboard to https only.

import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { Button } from "../components/button.js";

/** Copy a text. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    // Inside an open dialog, since nothing outside it can be selected.
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    document.execCommand("copy"); // old, and the only way without https
    field.remove();
  }
}

/** Copies `text` when pressed, and says for a moment that it did: in place, since a toast would lie below a dialog. */
export function CopyButton({ text, label }) {
  const [done, setDone] = useState(false);
  const press = async () => {
    await copy(text);
    setDone(true);
    setTimeout(() => setDone(false), 2500);
  };
  return html`<${Button} kind="small quiet" icon=${done ? "check" : "copy"} label=${done ? t("action.copied") : label} onClick=${press} />`;
}

/** A line for the terminal, or a key, with a button that copies it. */
export function Command({ text }) {
  return html`<div class="command"><code>${text}</code><${CopyButton} text=${text} label=${t("action.copy")} /></div>`;
}
