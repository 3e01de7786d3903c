// What is to be known of a result, and late stages that failed: each can be done again alone.

import { known, t } from "../i18n.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { Button } from "../components/button.js";
import { Note } from "../components/states.js";
import { toastError } from "../components/toast.js";
import { usePolling } from "../loading.js";
import { stageAgain } from "./recording.js";

/** How the server begins its note where a stage failed. */
const BEGINNINGS = [
  ["speakers", /^speakers are not told/],
  ["hotwords", /^hotwords are not corrected/],
  ["marks", /^(marks are as|the punctuation model failed)/],
  ["fillers", /^filler words stay/],
  ["numbers", /^(numbers stay|writing numbers)/],
  ["sensitive-words", /^(sensitive words may|the list of sensitive words)/],
];
const stageOf = (note) => BEGINNINGS.find(([, pattern]) => pattern.test(note))?.[0];
const isActive = (redo) => redo.state === "PENDING" || redo.state === "RUNNING";

/** `reload()` asks for the recording again; `onDone()` is called when a stage has ended, since the text may be another. */
export function Notes({ recording, reload, onDone }) {
  const { notes = [], file = 0 } = recording;
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
  const failures = notes.map((note) => ({ note, stage: stageOf(note) })).filter(({ stage }) => stage);
  const others = notes.filter((note) => !stageOf(note));
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
  if (!notes.length && !active && !failed.length) return null;
  return html`<div class="notes">
    ${active && html`<${Note}><p role="status">${t("review.stageRuns", { stage: t(`review.stage.${active.stage}`) })}</p><//>`}
    ${failures.map(({ note, stage }) => html`<${Note} key=${stage} kind="warn">
      <strong>${t("review.stageFailed", { stage: t(`review.stage.${stage}`) })}</strong>
      <p class="soft" lang="en">${note}</p>
      <${Button} kind="small" icon="retry" busy=${asked === stage} disabled=${Boolean(active)} onClick=${() => again(stage)}>${t("review.stageAgain")}<//>
    <//>`)}
    ${failed.map((redo) => html`<${Note} kind="bad"><strong>${t("review.redoFailed", { stage: t(known(`review.stage.${redo.stage}`) ? `review.stage.${redo.stage}` : redo.stage) })}</strong>
      ${redo.message && html`<p lang="en">${redo.message}</p>`}<//>`)}
    ${others.length > 0 && html`<details class="told"><summary>${t("review.notes", { count: others.length })}</summary>
      <ul lang="en">${others.map((note) => html`<li>${note}</li>`)}</ul></details>`}
  </div>`;
}
