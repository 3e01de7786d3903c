// What is to be known of a result, and late stages that failed: each can be done again alone.

import { known, t } from "../i18n.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { Note } from "../components/states.js";
import { toastError } from "../components/toast.js";
import { usePolling } from "../loading.js";
import { stageAgain } from "./recording.js";

const isActive = (redo) => redo.state === "PENDING" || redo.state === "RUNNING";

const nameOf = (stage) => (known(`review.stage.${stage}`) ? t(`review.stage.${stage}`) : stage);

/** `reload()` asks for the recording again; `onDone()` is called when a stage has ended, since the text may be another. */
export function Notes({ recording, reload, onDone }) {
  const { notes = [], failed_stages: failures = [], file = 0 } = recording;
  const stages = (recording.stages ?? []).filter((redo) => redo.file === file); // the others are of the task's other files
  const active = stages.find(isActive);
  const [asked, setAsked] = useState("");
  const wasActive = useRef(false);
  useEffect(() => {
    if (wasActive.current && !active) onDone().catch(toastError);
    wasActive.current = Boolean(active);
  }, [Boolean(active)]);
  usePolling(async () => {
    reload();
    return true;
  }, Boolean(active));
  const reasons = new Set(failures.flatMap((failure) => failure.reasons));
  const others = notes.filter((note) => !reasons.has(note));
  const again = async (stage) => {
    setAsked(stage);
    try {
      await stageAgain(recording.id, stage);
      reload();
    } catch (error) {
      toastError(error);
    }
    setAsked("");
  };
  const failed = stages.filter((redo) => redo.state === "FAILED");
  if (!others.length && !failures.length && !active && !failed.length) return null;
  return html`<div class="notes">
    ${active && html`<${Note}><p role="status">${t("review.stageRuns", { stage: nameOf(active.stage) })}</p><//>`}
    ${failures.map(({ stage, reasons: why }) => html`<${Note} key=${stage} kind="warn">
      <strong>${t("review.stageFailed", { stage: nameOf(stage) })}</strong>
      ${why.map((reason) => html`<p class="soft" lang="en">${reason}</p>`)}
      <${Button} kind="small" icon="retry" busy=${asked === stage} disabled=${Boolean(active)} onClick=${() => again(stage)}>${t("review.stageAgain")}<//>
    <//>`)}
    ${failed.map((redo) => html`<${Note} kind="bad"><strong>${t("review.redoFailed", { stage: nameOf(redo.stage) })}</strong>
      ${redo.message && html`<p lang="en">${redo.message}</p>`}<//>`)}
    ${others.length > 0 && html`<details class="told"><summary>${t("review.notes", { count: others.length })}</summary>
      <ul lang="en">${others.map((note) => html`<li>${note}</li>`)}</ul></details>`}
  </div>`;
}
