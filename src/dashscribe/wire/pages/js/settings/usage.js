// How much was transcribed: seconds per day, by key or by model.

import { get, V1 } from "../api.js";
import { day, duration, number, t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../loading.js";
import { Loaded, Note } from "../components/states.js";
import { Table } from "../components/table.js";
import { Chart } from "./chart.js";

const PERIODS = [7, 30, 90];
const MOST_SERIES = 5; // what is beyond is one more, "others"

const DAY_MS = 86_400_000;

/** The last `count` days as YYYY-MM-DD, today the last; days of the server's books, which are those of UTC. */
function lastDays(count) {
  return Array.from({ length: count }, (_, at) => new Date(Date.now() - (count - 1 - at) * DAY_MS).toISOString().slice(0, 10));
}

export function Usage() {
  const [period, setPeriod] = useState(30);
  const [by, setBy] = useState("model");
  const days = lastDays(period);
  const usage = useLoad((signal) => get(`${V1}/usage`, { since: days[0], until: days[period - 1] }, { signal }), [period]);
  return html`<div class="stack">
    <div class="row">
      <${Segmented} label=${t("usage.period")} value=${period} options=${PERIODS.map((count) => [count, t("usage.days", { count })])} onValue=${setPeriod} />
      <${Segmented} label=${t("usage.by")} value=${by} options=${[["model", t("usage.byModel")], ["key", t("usage.byKey")]]} onValue=${setBy} />
    </div>
    <${Loaded} from=${usage}>${(told) => html`<${Drawn} rows=${told.days} days=${days} by=${by} />`}<//>
  </div>`;
}

function Segmented({ label, value, options, onValue }) {
  return html`<div class="segmented" role="radiogroup" aria-label=${label}>${options.map(([one, text]) => html`<label key=${one}>
    <input type="radio" name=${label} checked=${one === value} onChange=${() => onValue(one)} /><span>${text}</span></label>`)}</div>`;
}

const nameOf = (row, by) => (by === "model" ? row.model : row.key_name || row.key_id || t("usage.noKey"));

function Drawn({ rows, days, by }) {
  if (!rows.length) return html`<${Note}><p>${t("usage.none")}</p><//>`;
  const totals = new Map();
  for (const row of rows) {
    const name = nameOf(row, by);
    const { files = 0, ms = 0 } = totals.get(name) ?? {};
    totals.set(name, { files: files + row.files, ms: ms + row.duration_ms });
  }
  const names = [...totals.keys()].sort((left, right) => totals.get(right).ms - totals.get(left).ms);
  const shown = names.length > MOST_SERIES + 1 ? [...names.slice(0, MOST_SERIES), t("usage.others")] : names;
  const series = shown.map((name) => ({ name, values: days.map(() => 0) }));
  for (const row of rows) {
    const at = days.indexOf(row.day);
    const which = shown.indexOf(nameOf(row, by));
    if (at >= 0) series[which >= 0 ? which : shown.length - 1].values[at] += row.duration_ms / 1000;
  }
  const all = [...totals.values()].reduce((sum, { ms }) => sum + ms, 0);
  const columns = [
    { title: t(by === "model" ? "usage.model" : "usage.key"), draw: (name) => name },
    { title: t("usage.files"), end: true, draw: (name) => number(totals.get(name).files) },
    { title: t("usage.duration"), end: true, draw: (name) => duration(totals.get(name).ms) },
  ];
  return html`
    <${Chart} label=${t("usage.chart", { total: duration(all), count: days.length })} days=${days} series=${series}
      tell=${(seconds) => duration(seconds * 1000)} nameDay=${day} />
    <${Table} label=${t("usage.title")} columns=${columns} rows=${names} keyOf=${(name) => name} />`;
}
