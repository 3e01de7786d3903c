// Dialogs: the browser's own, which keeps the focus inside, closes by Escape and gives the focus back.

import { html, useEffect, useId, useRef, useState } from "../lib.js";
import { t } from "../i18n.js";
import { whenSignedOut } from "../session.js";
import { store, useStore } from "../store.js";
import { Button } from "./button.js";
import { ErrorNote } from "./states.js";

/** An open dialog; `onClose` is called when somebody closes it. `actions` are the buttons at its end. */
export function Dialog({ title, onClose, actions, wide = false, children }) {
  const element = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current.showModal();
    element.current.scrollTop = 0; // a long one begins at its beginning, though its first button may be at its end
    return () => before?.isConnected && before.focus();
  }, []);
  const cancel = (event) => { event.preventDefault(); onClose(); };
  const outside = (event) => event.target === element.current && onClose(); // beside it: inside, its parts are hit
  return html`<dialog class="dialog ${wide ? "wide" : ""}" ref=${element} aria-labelledby=${id} onCancel=${cancel}
    onMouseDown=${outside}>
    <div><h2 id=${id}>${title}</h2>${children}<div class="buttons">${actions}</div></div>
  </dialog>`;
}

const asked = store(null);
whenSignedOut(() => asked.get()?.close(false));

/**
 * Ask before something that cannot be undone. `act()` runs when the answer is yes, and its failure is shown in the
 * dialog, which then stays open. Gives true when it was done, false when somebody thought better of it.
 */
export function confirm({ title, text, action, danger = false, act = async () => undefined }) {
  return new Promise((resolve) => {
    const close = (answer) => { asked.set(null); resolve(answer); };
    asked.set({ title, text, action, danger, act, close });
  });
}

/** Where confirm() shows its dialog: once, in the frame. */
export function Confirmations() {
  const question = useStore(asked);
  return question && html`<${Question} key=${question.title} ...${question} />`;
}

function Question({ title, text, action, danger, act, close }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const yes = async () => {
    setBusy(true);
    try {
      await act();
      close(true);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const actions = html`
    <${Button} onClick=${() => close(false)} disabled=${busy}>${t("action.cancel")}<//>
    <${Button} kind="primary ${danger ? "danger" : ""}" busy=${busy} onClick=${yes}>${action}<//>`;
  return html`<${Dialog} title=${title} onClose=${() => !busy && close(false)} actions=${actions}>
    <p>${text}</p>${error && html`<${ErrorNote} error=${error} />`}
  <//>`;
}
