// One recording in the library: what it is, how far it is, and where the words that were searched for are said.

import { clock, duration, instant, t } from "../i18n.js";
import { html } from "../lib.js";
import { link } from "../router.js";
import { marked } from "./marks.js";
import { Icon } from "../components/icons.js";
import { Progress } from "../components/progress.js";

const KINDS = { PENDING: "", RUNNING: "busy", SUCCEEDED: "good", FAILED: "bad", CANCELED: "" };

/** A state as a colored word. */
function Status({ status }) {
  return html`<span class="tag ${KINDS[status] ?? ""}">${t(`status.${status}`)}</span>`;
}

export function Recording({ recording, q, picked, onPick }) {
  const { id, status, hits = [], hit_count: count = 0 } = recording;
  const title = recording.title || recording.url;
  const more = count - hits.length;
  return html`<li class="recording ${picked ? "picked" : ""}">
    <input type="checkbox" checked=${picked} aria-label=${t("library.pick", { title })} onChange=${(event) => onPick(event.target.checked)} />
    <div class="stack close">
      <div class="row spread"><h2><a href=${link(`/recordings/${id}`, { q })}>${marked(title, recording.title_marks)}</a></h2>
        ${status !== "SUCCEEDED" && html`<${Status} status=${status} />`}</div>
      <${About} recording=${recording} />
      <${Going} recording=${recording} />
      ${hits.length > 0 && html`<ol class="hits">${hits.map((hit) => html`<li key=${`${hit.channel}-${hit.begin_ms}`}>
        <a href=${link(`/recordings/${id}`, { t: hit.begin_ms, q })}><time>${clock(hit.begin_ms)}</time><span dir="auto">${marked(hit.text, hit.marks)}</span></a>
      </li>`)}${more > 0 && html`<li><a class="more" href=${link(`/recordings/${id}`, { q })}>${t("library.moreHits", { count: more })}</a></li>`}</ol>`}
    </div>
  </li>`;
}

function About({ recording }) {
  const { duration_ms: length, submitted_at: at, model, engine, edited_at: edited, kept, languages = [], failed_stages: failures = [] } = recording;
  const parts = [
    length > 0 && html`<span class="number">${duration(length)}</span>`,
    at && html`<time datetime=${new Date(at).toISOString()}>${instant(at)}</time>`,
    html`<span>${model}${engine && !engine.startsWith(model) ? html` <span class="faint">(${engine})</span>` : ""}</span>`,
    languages.length > 0 && html`<span>${languages.join(", ")}</span>`,
    edited && html`<span>${t("library.edited")}</span>`,
    failures.length > 0 && html`<span class="tag warn">${t("library.failedStages", { count: failures.length })}</span>`,
    kept && html`<span class="kept"><${Icon} name="star" size=${14} filled />${t("library.kept")}</span>`,
  ];
  return html`<p class="about">${parts.filter(Boolean)}</p>`;
}

/** What stands between a recording and its text: its place in the queue, its progress, or why it failed. */
function Going({ recording }) {
  const { status, queue_position: position, progress, code, message } = recording;
  if (status === "PENDING") {
    return html`<p class="soft">${position > 0 ? t("library.position", { count: position }) : t("library.waits")}</p>`;
  }
  if (status === "RUNNING") {
    const { done_ms: done = 0, total_ms: total = 0 } = progress ?? {};
    return html`<${Progress} label=${t("library.progress")} done=${done} total=${total}>
      ${total > 0 ? t("library.done", { done: clock(done), total: clock(total) }) : t("library.begun")}<//>`;
  }
  return status === "FAILED" && html`<p class="failed"><code>${code}</code> <span lang="en">${message}</span></p>`;
}
