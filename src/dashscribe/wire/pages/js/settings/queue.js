// What waits and what works on it.

import { get, V1 } from "../api.js";
import { ago, duration, number, t } from "../i18n.js";
import { html } from "../lib.js";
import { useLoad, usePolling } from "../loading.js";
import { Page } from "../components/page.js";
import { Loaded, Note } from "../components/states.js";
import { Table } from "../components/table.js";

export default function Queue() {
  const ask = (signal) => get(`${V1}/queue`, {}, { signal });
  const queue = useLoad(ask);
  usePolling(async (signal) => {
    const now = await ask(signal);
    const numbers = ({ waiting, running, speech_ms_waiting: speech }) => [waiting, running, speech].join();
    const changed = !queue.data || numbers(now) !== numbers(queue.data);
    queue.setData(now);
    return changed;
  }, true);
  return html`<${Page} title=${t("queue.title")} lead=${t("queue.lead")}>
    <${Loaded} from=${queue}>${(told) => html`<${Figures} told=${told} /><${Workers} workers=${told.workers} /><${Engines} queues=${told.queues} />`}<//>
  <//>`;
}

function Figures({ told }) {
  const { waiting, running, speech_ms_waiting: speech, oldest_wait_ms: oldest } = told;
  const figures = [
    ["queue.waiting", number(waiting)],
    ["queue.running", number(running)],
    ["queue.speech", duration(speech ?? 0)],
    ["queue.oldest", waiting && oldest ? duration(oldest) : "–"],
  ];
  return html`<dl class="figures">${figures.map(([key, value]) => html`<div key=${key}><dt>${t(key)}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Workers({ workers }) {
  const columns = [
    { title: t("queue.worker"), draw: ({ id, host }) => (host ? html`${host} <small class="soft mono">${id.slice(0, 8)}</small>` : t("queue.unnamed")) },
    { title: t("queue.busy"), end: true, draw: ({ busy, slots }) => `${number(busy)} / ${number(slots)}` },
    { title: t("queue.engines"), draw: ({ engines }) => engines.join(", ") },
    { title: t("queue.version"), draw: ({ version }) => version },
    { title: t("queue.seen"), draw: ({ seen_at: at }) => !at ? "–" : html`<time datetime=${new Date(at).toISOString()}>${ago(at)}</time>` },
  ];
  return html`<section class="stack close" aria-labelledby="queue-workers"><h2 id="queue-workers">${t("queue.workers")}</h2>
    ${workers.length ? html`<${Table} label=${t("queue.workers")} columns=${columns} rows=${workers} keyOf=${(worker) => workers.indexOf(worker)} />`
      : html`<${Note} kind="warn"><p>${t("queue.noWorkers")}</p><//>`}
  </section>`;
}

function Engines({ queues }) {
  if (!queues.length) return null;
  const columns = [
    { title: t("queue.engine"), draw: ({ engine }) => engine },
    { title: t("queue.windowsWaiting"), end: true, draw: ({ windows_waiting: count }) => number(count) },
    { title: t("queue.windowsRunning"), end: true, draw: ({ windows_running: count }) => number(count) },
  ];
  return html`<section class="stack close" aria-labelledby="queue-engines"><h2 id="queue-engines">${t("queue.byEngine")}</h2>
    <p class="soft">${t("queue.windowsText")}</p>
    <${Table} label=${t("queue.byEngine")} columns=${columns} rows=${queues} keyOf=${({ engine }) => engine} />
  </section>`;
}
