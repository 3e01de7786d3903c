// The outline of a page: its heading, which gets the focus when the page opens, a sentence, and what can be done here.

import { html, useEffect, useRef } from "../lib.js";

let first = true;

/** A page. `title` is a text, `lead` a sentence about it, `actions` buttons beside it; `wide` uses the whole width. */
export function Page({ title, lead, actions, wide = false, children }) {
  const heading = useRef(null);
  useEffect(() => {
    // Readers begin at the heading of a page that was gone to; at the first one the browser itself knows better.
    if (!first) heading.current.focus();
    first = false;
  }, []);
  useEffect(() => {
    document.title = `${title} · dashscribe`;
  }, [title]);
  return html`<div class="page ${wide ? "wide" : ""}">
    <header><div><h1 ref=${heading} tabindex="-1">${title}</h1>${lead && html`<p>${lead}</p>`}</div>
      ${actions && html`<div class="buttons">${actions}</div>`}</header>
    ${children}
  </div>`;
}
