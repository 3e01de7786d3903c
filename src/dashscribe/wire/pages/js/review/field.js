// Typing in one sentence: a field in place of its text.

import { t } from "../i18n.js";
import { isComposing } from "../components/field.js";
import { make } from "./elements.js";

/** Whether the style sheet makes the field as high as its text; measuring would have the page laid out at every letter. */
const GROWS = globalThis.CSS?.supports?.("field-sizing", "content");

export class Field {
  /** `on` are called: typed(text), split(offset), merge(), next(step), leave({focus}), where the focus is to go to the list. */
  constructor(sentence, on) {
    this.key = sentence.key;
    this.on = on;
    this.area = make("textarea", { class: "said typing", rows: 1, spellcheck: "true", dir: "auto", lang: sentence.language || undefined,
      maxlength: 10_000, "aria-label": t("review.textOf"), "aria-describedby": "review-typing-hint" });
    this.area.value = sentence.text;
    this.area.addEventListener("input", (event) => this.input(event));
    this.area.addEventListener("compositionend", () => this.input({}));
    this.area.addEventListener("keydown", (event) => this.press(event));
    this.area.addEventListener("blur", () => this.blur());
  }

  get text() {
    return this.area.value;
  }

  /** Stand in a row, where its text is. */
  into(row) {
    if (this.area.closest(".line") === row) return;
    row.querySelector("p.said")?.replaceWith(this.area);
    row.classList.add("is-typed");
    this.grow();
  }

  focus(offset) {
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(offset, offset);
    this.grow();
  }

  /** Show what the text has become by other ways (undo, replacing), unless it is what stands here. */
  show(text) {
    if (this.area.value === text || this.composing) return;
    const at = this.area.selectionStart;
    this.area.value = text;
    this.area.setSelectionRange(at, at);
    this.grow();
  }

  grow() {
    if (GROWS) return;
    this.area.style.height = "auto";
    this.area.style.height = `${this.area.scrollHeight}px`;
  }

  input(event) {
    this.composing = Boolean(event.isComposing);
    this.grow();
    if (this.composing) return;
    // A sentence is one line: pasted line ends become spaces.
    if (/[\r\n]/.test(this.area.value)) {
      const at = this.area.selectionStart;
      this.area.value = this.area.value.replace(/\s*[\r\n]+\s*/g, " ");
      this.area.setSelectionRange(at, at);
    }
    this.on.typed(this.area.value);
  }

  press(event) {
    if (isComposing(event)) return;
    const { selectionStart, selectionEnd } = this.area;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    let handled = true;
    if (event.key === "Enter" && plain && !event.shiftKey) this.on.split(selectionStart);
    else if (event.key === "Backspace" && plain && selectionStart === 0 && selectionEnd === 0) this.on.merge();
    else if (event.key === "Escape") this.on.leave({ focus: true });
    else if (event.key === "Tab" && plain) this.on.next(event.shiftKey ? -1 : 1);
    else handled = event.key === "Enter" && plain; // Shift+Enter would break the line
    if (handled) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  blur() {
    // Another window has the focus: this one stays where it was.
    if (!this.closed && document.hasFocus()) setTimeout(() => !this.closed && document.activeElement !== this.area && this.on.leave({ focus: false }), 0);
  }

  close() {
    this.closed = true;
  }
}
