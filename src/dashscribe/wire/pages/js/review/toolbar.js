// What is done to a transcript as a whole: undo, the original, whether it is saved.

import { del, get } from "../api.js";
import { Button } from "../components/button.js";
import { confirm } from "../components/dialog.js";
import { Note } from "../components/states.js";
import { toastError } from "../components/toast.js";
import { t } from "../i18n.js";
import { html } from "../lib.js";
import { Transcript } from "./transcript.js";

/** Take a step of `undo` or `redo`, and bring what it touched into view. */
export function undo({ transcript, view }, which) {
  const keys = which === "undo" ? transcript.undo() : transcript.redo();
  if (keys?.length && !view.list.isInView(keys[0])) view.list.scrollTo(keys[0], { at: 0.3 });
}

/** Show what was recognized, or the edited text again. */
async function toggleOriginal({ original, showOriginal, view, saving }, path) {
  if (original()) return showOriginal(null);
  view.leave();
  await saving.now();
  try {
    return showOriginal(new Transcript(await get(`${path}/transcript`, { version: "original" })));
  } catch (error) {
    return toastError(error);
  }
}

function discard({ transcript, showOriginal }, path) {
  const act = async () => {
    await del(`${path}/edits`);
    transcript.load(await get(`${path}/transcript`));
    showOriginal(null);
  };
  return confirm({ title: t("review.discard"), text: t("review.discardText"), action: t("review.discardDo"), danger: true, act });
}

export function Toolbar({ parts, saved, finding, setDialog, path }) {
  const { transcript } = parts ?? {};
  const original = parts?.original();
  const open = (kind) => () => setDialog({ kind });
  return html`
    <${SaveState} state=${saved.state} />
    <${Button} kind="quiet" icon="undo" label=${t("review.undo")} disabled=${original || !transcript?.done.length} onClick=${() => undo(parts, "undo")} />
    <${Button} kind="quiet" icon="redo" label=${t("review.redo")} disabled=${original || !transcript?.undone.length} onClick=${() => undo(parts, "redo")} />
    <${Button} kind="quiet" icon="search" label=${t("review.find")} aria-pressed=${finding.open ? "true" : "false"}
      onClick=${() => finding.set({ open: !finding.open })} />
    <${Button} kind="quiet" icon="history" label=${t(original ? "review.showEdited" : "review.showOriginal")} aria-pressed=${original ? "true" : "false"}
      disabled=${!original && !transcript?.edited} onClick=${() => toggleOriginal(parts, path)} />
    <${Button} kind="quiet" icon="keyboard" label=${t("review.keys")} onClick=${open("keys")} />
    <${Button} icon="compare" disabled=${!parts} onClick=${open("again")}>${t("review.otherModel")}<//>
    <${Button} kind="primary" icon="download" disabled=${!parts} onClick=${open("export")}>${t("action.export")}<//>`;
}

/** That the original is shown, or that there is something new in it. */
export function AboutOriginal({ parts, path }) {
  if (parts?.original()) {
    return html`<${Note}><strong>${t("review.isOriginal")}</strong><div class="buttons">
      <${Button} kind="small" onClick=${() => toggleOriginal(parts, path)}>${t("review.showEdited")}<//>
      <${Button} kind="small danger" onClick=${() => discard(parts, path)}>${t("review.discard")}<//></div><//>`;
  }
  return parts?.transcript.newerOriginal && html`<${Note}><p>${t("review.newerOriginal")}</p>
    <${Button} kind="small" onClick=${() => toggleOriginal(parts, path)}>${t("review.showOriginal")}<//><//>`;
}

/** One word in the heading; what needs more stands in SaveTrouble. */
function SaveState({ state }) {
  const hasTrouble = state === "offline" || state === "refused";
  return html`<span class="save-state ${state}" role="status">${t(hasTrouble ? "review.save.not" : `review.save.${state}`)}</span>`;
}

export function SaveTrouble({ saved, onRetry, onRead }) {
  const { state, error, lost = [] } = saved;
  const retry = html`<${Button} kind="small" icon="retry" onClick=${onRetry}>${t("action.retry")}<//>`;
  return html`
    ${state === "offline" && html`<${Note} kind="warn"><p role="alert">${t("review.save.offline")}</p>${retry}<//>`}
    ${state === "refused" && html`<${Note} kind="bad"><strong role="alert">${t("review.save.refused")}</strong>
      ${error?.message && html`<p lang="en">${error.message}</p>`}${retry}<//>`}
    ${lost.length > 0 && html`<${Note} kind="warn"><strong>${t("review.lost", { count: lost.length })}</strong>
      <ul class="lost">${lost.map((one) => html`<li>${one}</li>`)}</ul>
      <${Button} kind="small" onClick=${onRead}>${t("action.dismiss")}<//><//>`}`;
}
