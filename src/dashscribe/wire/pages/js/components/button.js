// What is pressed.

import { html } from "../lib.js";
import { Icon } from "./icons.js";

/**
 * A button. `kind`: plain, primary, quiet, danger (several by spaces), with "small". With `label` instead of children it
 * shows the icon alone and readers hear the label. While `busy` it turns and does nothing. Everything else is passed on.
 */
export function Button({ kind = "", icon, label, busy = false, disabled = false, children, class: more = "", ...rest }) {
  const square = label && !children ? "square" : "";
  return html`<button type="button" class="button ${kind} ${square} ${more}" aria-label=${label} title=${label}
    aria-busy=${busy || undefined} disabled=${disabled || busy} ...${rest}>
    ${busy ? html`<span class="spinner" aria-hidden="true"></span>` : icon && html`<${Icon} name=${icon} size=${18} />`}
    ${children}
  </button>`;
}

/** A link that looks like a button; `href` from router.link(). */
export function LinkButton({ kind = "", icon, children, ...rest }) {
  return html`<a class="button ${kind}" ...${rest}>${icon && html`<${Icon} name=${icon} size=${18} />`}${children}</a>`;
}
