// What stands where data would: that it is loading, that there is none, that it could not be had.

import { html } from "../lib.js";
import { known, t } from "../i18n.js";
import { Button } from "./button.js";
import { Icon } from "./icons.js";

/** Gray lines, and "Loading…" for readers. */
export function Loading() {
  return html`<div class="loading" role="status"><span class="unseen">${t("state.loading")}</span><i></i><i></i><i></i></div>`;
}

/** Nothing to show: `title`, a sentence as children, and what to do about it as `action`. */
export function Empty({ icon = "library", title, action, children }) {
  return html`<div class="empty"><${Icon} name=${icon} size=${36} /><h2>${title}</h2><p>${children}</p>${action}</div>`;
}

/** A box beside the text. `kind`: "" (told), good, warn, bad. */
export function Note({ kind = "", icon, children }) {
  const drawn = icon ?? { good: "check", warn: "warning", bad: "warning" }[kind] ?? "info";
  return html`<div class="note ${kind}"><${Icon} name=${drawn} /><div>${children}</div></div>`;
}

/** The heading of an error in the language of the pages: by its code, else by its status. */
export function errorTitle(error) {
  if (known(`error.${error.code}`)) return t(`error.${error.code}`);
  const status = error.status ?? 0;
  if (known(`error.${status}`)) return t(`error.${status}`);
  return t(status >= 500 ? "error.server" : "error.other");
}

/** A failure: what it means, what the server said, the id under which its log has it; `retry` tries again. */
export function ErrorNote({ error, retry }) {
  const said = error.code === "Network" ? "" : error.message;
  return html`<div class="note bad" role="alert"><${Icon} name="warning" /><div>
    <strong>${errorTitle(error)}</strong>
    ${said && html`<p lang="en">${said}</p>`}
    ${error.requestId && html`<small>${t("error.requestId")} <code>${error.requestId}</code></small>`}
    ${retry && html`<${Button} kind="small" icon="retry" onClick=${retry}>${t("action.retry")}<//>`}
  </div></div>`;
}

/** What a page shows of a useLoad(): children(data) once there is any, an error above it, else the state. */
export function Loaded({ from, children }) {
  const draw = Array.isArray(children) ? children[0] : children;
  return html`${from.error && html`<${ErrorNote} error=${from.error} retry=${from.reload} />`}
    ${from.data !== null ? draw(from.data) : from.loading && !from.error && html`<${Loading} />`}`;
}
