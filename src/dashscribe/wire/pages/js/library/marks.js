// Where words that were searched for stand in a text.

import { html } from "../lib.js";

/** A text with <mark> around [[from, to], …], offsets as JavaScript counts; what makes no sense is left out. */
export function marked(text, marks = []) {
  const parts = [];
  let at = 0;
  for (const [from, to] of marks) {
    if (from < at || to <= from || to > text.length) continue;
    if (from > at) parts.push(text.slice(at, from));
    parts.push(html`<mark>${text.slice(from, to)}</mark>`);
    at = to;
  }
  parts.push(text.slice(at));
  return parts;
}
