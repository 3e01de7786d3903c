// The heading of what has a name of its own: pressed, it becomes a field. Enter saves, Escape leaves it as it was.

import { t } from "../i18n.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { Button } from "./button.js";
import { isComposing } from "./field.js";
import { toastError } from "./toast.js";

/** `onRename(title)` gives a promise; where it fails, what was typed stays. An empty one is the server's to replace. */
export function Title({ title, onRename }) {
  const [typed, setTyped] = useState(null); // null: nobody is changing it
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  const button = useRef(null);
  const isOpen = typed !== null;
  const wasOpen = useRef(false);
  useEffect(() => {
    if (isOpen) field.current.select();
    else if (wasOpen.current) button.current.querySelector("button").focus();
    wasOpen.current = isOpen;
  }, [isOpen]);
  const close = () => setTyped(null);
  const save = async (event) => {
    event.preventDefault();
    if (busy) return;
    if (typed.trim() === title) return close();
    setBusy(true);
    try {
      await onRename(typed.trim());
      close();
    } catch (error) { // what was typed stays
      toastError(error);
    }
    setBusy(false);
  };
  const press = (event) => {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.stopPropagation();
    close();
  };
  return html`<div class="title ${isOpen ? "is-typed" : ""}" ref=${button}>
    <h1 tabindex="-1" class=${isOpen ? "unseen" : undefined} onDblClick=${() => setTyped(title)}>${title}</h1>
    ${isOpen && html`<form onSubmit=${save}><input class="input" ref=${field} value=${typed} maxlength="300" dir="auto"
      aria-label=${t("title.field")} readonly=${busy} onInput=${(event) => setTyped(event.target.value)} onKeyDown=${press} /></form>`}
    <${Button} kind="quiet small" icon=${isOpen ? "check" : "edit"} busy=${busy} label=${t(isOpen ? "action.save" : "title.change")}
      onClick=${isOpen ? save : () => setTyped(title)} />
  </div>`;
}
