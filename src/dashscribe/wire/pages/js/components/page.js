// The outline of a page: its heading, which gets the focus when the page opens, a sentence, and what can be done here.

import { html, useEffect, useRef } from "../lib.js";
import { Title } from "./title.js";

let first = true;

/**
 * A page. `title` is a text, `lead` a sentence about it, `actions` buttons beside it; `wide` uses the whole width. With
 * `onRename(title)`, which gives a promise, the title can be changed where it stands.
 */
export function Page({ title, lead, actions, wide = false, onRename, children }) {
  const heading = useRef(null);
  useEffect(() => {
    // Readers begin at the heading of a page that was gone to; at the first one the browser itself knows better.
    if (!first) heading.current.querySelector("h1").focus();
    first = false;
  }, []);
  useEffect(() => {
    document.title = `${title} · dashscribe`;
  }, [title]);
  return html`<div class="page ${wide ? "wide" : ""}">
    <header><div ref=${heading}>${onRename ? html`<${Title} title=${title} onRename=${onRename} />` : html`<h1 tabindex="-1">${title}</h1>`}${lead && html`<p>${lead}</p>`}</div>
      ${actions && html`<div class="buttons">${actions}</div>`}</header>
    ${children}
  </div>`;
}
