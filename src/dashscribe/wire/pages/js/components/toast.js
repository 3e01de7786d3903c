// Short news at the lower edge: what was done. It goes by itself, so nothing that must be read stands here alone.

import { html } from "../lib.js";
import { t } from "../i18n.js";
import { whenSignedOut } from "../session.js";
import { store, useStore } from "../store.js";
import { Button } from "./button.js";
import { errorTitle } from "./states.js";

const shown = store([]);
let last = 0;
whenSignedOut(() => shown.set([])); // what was told is for nobody else

/** Show a sentence; `action` is {label, run}, such as an undo. Gives what takes it away before its time. */
export function toast(text, { action, forMs = 6000 } = {}) {
  const id = (last += 1);
  shown.set((before) => [...before.slice(-2), { id, text, action }]);
  setTimeout(() => hide(id), forMs);
  return () => hide(id);
}

/** Say that something failed, with the server's words. */
export function toastError(error) {
  const said = error.code === "Network" ? "" : error.message;
  toast([errorTitle(error), said].filter(Boolean).join(" "), { forMs: 12_000 });
}

const hide = (id) => shown.set((before) => before.filter((one) => one.id !== id));

/** Where they appear: once, in the frame. Readers are told of each when they have finished their sentence. */
export function Toasts() {
  const toasts = useStore(shown);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.map(({ id, text, action }) => html`<div class="toast" key=${id}>
      <span>${text}</span>
      ${action && html`<${Button} kind="quiet small" onClick=${() => { hide(id); action.run(); }}>${action.label}<//>`}
      <${Button} kind="quiet small" icon="close" label=${t("action.dismiss")} onClick=${() => hide(id)} />
    </div>`)}
  </div>`;
}
