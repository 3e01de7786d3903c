// Line drawings of 20 by 20 that only this page has.

import { html } from "../lib.js";

const PATHS = {
  undo: "M7 5 3.500 8.500 7 12M4 8.500h7.500a4 4 0 0 1 0 8H8",
  redo: "M13 5l3.500 3.500L13 12M16 8.500H8.500a4 4 0 0 0 0 8H12",
  earlier: "M10.500 5.500 5.500 10l5 4.500v-9ZM16 5.500 11 10l5 4.500v-9Z",
  later: "M9.500 5.500l5 4.500-5 4.500v-9ZM4 5.500 9 10l-5 4.500v-9Z",
  follow: "M10 3v4M10 13v4M3 10h4M13 10h4M10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  keyboard: "M2.500 5.500h15v9h-15zM5.500 8.500h.100M8.500 8.500h.100M11.500 8.500h.100M14.500 8.500h.100M6.500 11.500h7",
  history: "M4 10a6 6 0 1 0 1.800-4.300L4 7.500M4 3.500v4h4M10 7v3.500l2.500 1.500",
  minus: "M4.500 10h11",
};

/** A button that shows a drawing alone; readers hear its label. */
export function DrawnButton({ drawing, label, kind = "quiet", ...rest }) {
  return html`<button type="button" class="button square ${kind}" aria-label=${label} title=${label} ...${rest}>
    <svg width="18" height="18" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"
      stroke-linejoin="round" aria-hidden="true" focusable="false"><path d=${PATHS[drawing]} /></svg>
  </button>`;
}
