// How far something is.

import { html } from "../lib.js";

/** A bar from 0 to `total` with a sentence below; without `total` it only says that something goes on. */
export function Progress({ label, done = 0, total = 0, children }) {
  const bar = total > 0
    ? html`<progress aria-label=${label} max=${total} value=${Math.min(done, total)}></progress>`
    : html`<progress aria-label=${label}></progress>`;
  return html`<div class="progress">${bar}${children && html`<span class="number">${children}</span>`}</div>`;
}
