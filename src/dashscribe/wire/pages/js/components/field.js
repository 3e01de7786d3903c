// Fields of forms: each with its name, one sentence about it, and what is wrong with it.

import { html, useId } from "../lib.js";

/** An input method had the key: Enter chooses its candidate. Safari tells it by the old code only. */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

/** A field around one input: children(attributes) draws the input with id, aria-describedby and aria-invalid. */
export function Field({ label, hint, wrong, children }) {
  const id = useId();
  const draw = Array.isArray(children) ? children[0] : children;
  const described = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ") || undefined;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${draw({ id, "aria-describedby": described, "aria-invalid": wrong ? "true" : undefined })}
    ${hint && html`<span class="hint" id="${id}-hint">${hint}</span>`}
    ${wrong && html`<span class="wrong" id="${id}-wrong" role="alert">${wrong}</span>`}
  </div>`;
}

/** A line of text; `onValue(text)` at every change. */
export function TextField({ label, hint, wrong, value, onValue, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} wrong=${wrong}>
    ${(given) => html`<input class="input" value=${value} onInput=${(event) => onValue(event.target.value)} ...${given} ...${rest} />`}
  <//>`;
}

/** Several lines of text. */
export function TextArea({ label, hint, wrong, value, onValue, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} wrong=${wrong}>
    ${(given) => html`<textarea class="textarea" value=${value} onInput=${(event) => onValue(event.target.value)} ...${given} ...${rest}></textarea>`}
  <//>`;
}

/** One of several: `options` are [value, text]. */
export function Select({ label, hint, wrong, value, options, onValue, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} wrong=${wrong}>
    ${(given) => html`<select class="select" value=${value} onChange=${(event) => onValue(event.target.value)} ...${given} ...${rest}>
      ${options.map(([one, text]) => html`<option key=${one} value=${one} selected=${one === value}>${text}</option>`)}
    </select>`}
  <//>`;
}

/** Yes or no, with a sentence below. */
export function Check({ label, hint, checked, onValue, ...rest }) {
  return html`<label class="check">
    <input type="checkbox" checked=${checked} onChange=${(event) => onValue(event.target.checked)} ...${rest} />
    <span>${label}${hint && html`<span class="hint">${hint}</span>`}</span>
  </label>`;
}
