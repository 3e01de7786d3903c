// The page of one recording: how far it is, why it failed, or its transcript to listen to, correct and take along.

import { get, patch } from "../api.js";
import { Button } from "../components/button.js";
import { Page } from "../components/page.js";
import { Progress } from "../components/progress.js";
import { ErrorNote, Loading, Note } from "../components/states.js";
import { toastError } from "../components/toast.js";
import { clock, instant, percent, t } from "../i18n.js";
import { html, useEffect, useState } from "../lib.js";
import { useLoad, usePolling } from "../loading.js";
import { AgainDialog } from "./again.js";
import { pathOf, titleOf, ToLibrary } from "./recording.js";
import { Work } from "./work.js";

/** What a failed file's code means for somebody who can do something about it; others only say to try again. */
const ADVICE = {
  SUCCESS_WITH_NO_VALID_FRAGMENT: "silent",
  ASR_RESPONSE_HAVE_NO_WORDS: "silent",
  NO_VALID_AUDIO_ERROR: "unreadable",
  DECODE_ERROR: "unreadable",
  "InvalidFile.DecodeFailed": "unreadable",
  FILE_DOWNLOAD_FAILED: "fetch",
  FILE_SERVER_ERROR: "fetch",
  "InvalidFile.DownloadFailed": "fetch",
  REQUEST_INVALID_FILE_URL_VALUE: "fetch",
  FILE_403_FORBIDDEN: "refused",
  FILE_404_NOT_FOUND: "gone",
  AUDIO_DURATION_TOO_LONG: "long",
  FILE_TOO_LARGE: "large",
  CONTENT_LENGTH_CHECK_FAILED: "large",
};

const isUnderWay = (recording) => recording.status === "PENDING" || recording.status === "RUNNING";

export default function Review({ params: { id }, query }) {
  const loaded = useLoad((signal) => get(pathOf(id), { q: query.q }, { signal }), [id]);
  const recording = loaded.data;
  usePolling(async (signal) => {
    const now = await get(pathOf(id), {}, { signal });
    loaded.setData(now);
    return true;
  }, recording !== null && isUnderWay(recording), [id]);
  if (recording === null) {
    return html`<${Page} title=${t("review.title")} actions=${html`<${ToLibrary} />`}>
      ${loaded.error ? html`<${ErrorNote} error=${loaded.error} retry=${loaded.reload} />` : html`<${Loading} />`}
    <//>`;
  }
  const rename = async (title) => loaded.setData(await patch(pathOf(id), { title }));
  if (isUnderWay(recording)) return html`<${UnderWay} recording=${recording} onRename=${rename} />`;
  if (recording.status !== "SUCCEEDED") return html`<${Failed} recording=${recording} onRename=${rename} />`;
  return html`<${Finished} key=${id} recording=${recording} query=${query} reload=${loaded.reload} onRename=${rename} />`;
}

/** Waiting or running: it opens by itself when it is done. */
function UnderWay({ recording, onRename }) {
  const { progress = {}, queue_position: place } = recording;
  const { done_ms = 0, total_ms = 0 } = progress;
  const lead = [recording.model, recording.duration_ms && clock(recording.duration_ms)].filter(Boolean).join(" · ");
  return html`<${Page} title=${titleOf(recording)} lead=${lead} onRename=${onRename} actions=${html`<${ToLibrary} />`}>
    <div class="card stack" role="status">
      <h2>${t(`status.${recording.status}`)}</h2>
      <${Progress} label=${t("review.progress")} done=${done_ms} total=${total_ms}>
        ${total_ms ? t("review.progressOf", { done: clock(done_ms), total: clock(total_ms), share: percent(done_ms / total_ms) })
    : place !== undefined ? t("review.place", { place }) : t("review.preparing")}
      <//>
      <p class="soft">${t("review.opens")}</p>
    </div>
  <//>`;
}

/** Why there is no transcript, and what can be done. */
function Failed({ recording, onRename }) {
  const [asking, setAsking] = useState(false);
  const { code = "", message = "", status } = recording;
  const advice = code in ADVICE ? `review.advice.${ADVICE[code]}` : "review.advice";
  const actions = html`<${ToLibrary} /><${Button} kind="primary" icon="retry" onClick=${() => setAsking(true)}>${t("review.again")}<//>`;
  return html`<${Page} title=${titleOf(recording)} lead=${recording.ended_at && instant(recording.ended_at)} onRename=${onRename} actions=${actions}>
    ${status === "CANCELED"
    ? html`<${Note}><strong>${t("review.canceled")}</strong><p>${t("review.canceledText")}</p><//>`
    : html`<${Note} kind="bad"><strong>${t("review.failed")}</strong>
        ${message && html`<p lang="en">${message}</p>`}<p>${t(advice)}</p>${code && html`<small><code>${code}</code></small>`}<//>`}
    ${asking && html`<${AgainDialog} recording=${recording} compare=${false} onClose=${() => setAsking(false)} />`}
  <//>`;
}

/** With a result: its transcript and the picture of its sound are fetched, then the work begins. */
function Finished({ recording, query, reload, onRename }) {
  const { id } = recording;
  const text = useLoad((signal) => get(`${pathOf(id)}/transcript`, {}, { signal }), [id]);
  useEffect(() => {
    // Opened in the pages: it stays until somebody deletes it.
    if (!recording.kept) patch(pathOf(id), { kept: true }).catch(toastError);
  }, [id]);
  if (!text.data) {
    return html`<${Page} title=${titleOf(recording)} actions=${html`<${ToLibrary} />`}>
      ${text.error ? html`<${ErrorNote} error=${text.error} retry=${text.reload} />` : html`<${Loading} />`}
    <//>`;
  }
  return html`<${Work} recording=${recording} answer=${text.data} query=${query} reloadRecording=${reload} onRename=${onRename} />`;
}
