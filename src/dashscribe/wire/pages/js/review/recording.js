// What all parts of the page say of a recording, and where its routes lie.

import { post, V1 } from "../api.js";
import { LinkButton } from "../components/button.js";
import { duration, instant, t } from "../i18n.js";
import { html } from "../lib.js";
import { link } from "../router.js";

export const pathOf = (id) => `${V1}/recordings/${encodeURIComponent(id)}`;
export const titleOf = (recording) => recording.title || recording.url || recording.id;

export function ToLibrary() {
  return html`<${LinkButton} kind="quiet" icon="back" href=${link("/library")}>${t("nav.library")}<//>`;
}

/** Ask for a late stage again; `number` is the file's in its task. */
export function stageAgain(id, stage) {
  const at = id.lastIndexOf(".");
  return post(`${V1}/tasks/${encodeURIComponent(id.slice(0, at))}/retry`, { stage, file: Number(id.slice(at + 1)) });
}

/** What stands below a title: length, model, day. */
export function leadOf(recording) {
  const { duration_ms, media, model, submitted_at } = recording;
  const length = duration_ms ?? media?.duration_ms;
  return [length && duration(length), model, submitted_at && instant(submitted_at)].filter(Boolean).join(" · ");
}
