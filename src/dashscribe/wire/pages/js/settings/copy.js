// Copying, also where the browser gives its clipboard to https only.

import { t } from "../i18n.js";
import { html } from "../lib.js";
import { Button } from "../components/button.js";
import { toast } from "../components/toast.js";

/** Copy a text and say so. */
export async function copy(text) {
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
  toast(t("action.copied"));
}

/** A line for the terminal, or a key, with a button that copies it. */
export function Command({ text }) {
  return html`<div class="command"><code>${text}</code>
    <${Button} kind="small quiet" icon="copy" label=${t("action.copy")} onClick=${() => copy(text)} /></div>`;
}
