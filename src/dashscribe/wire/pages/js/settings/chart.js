// Bars per day, stacked: plain SVG, drawn in its own units and scaled by the browser.

import { html } from "../lib.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [720, 200, 56, 22, 8];

/** Steps that people count time by, in seconds. */
const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 18_000, 36_000, 86_400, 172_800, 432_000, 864_000];

/**
 * `series`: [{name, values}], a value in seconds for each of `days`; `tell(seconds)` and `nameDay(day)` write them. The
 * numbers stand in a table beside it, so readers get one sentence, `label`.
 */
export function Chart({ label, days, series, tell, nameDay }) {
  const sums = days.map((_, at) => series.reduce((sum, { values }) => sum + values[at], 0));
  const most = Math.max(1, ...sums);
  const step = STEPS.find((one) => most / one <= 4) ?? Math.ceil(most / 4);
  const top = Math.ceil(most / step) * step;
  const y = (seconds) => HEIGHT - BOTTOM - (seconds / top) * (HEIGHT - BOTTOM - TOP);
  const slot = (WIDTH - LEFT) / days.length;
  const bar = Math.max(2, Math.min(28, slot * 0.7));
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, at) => at * step);
  const every = Math.ceil(days.length / 7);
  return html`<figure class="stack close">
    <svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label=${label}>
      ${ticks.map((seconds) => html`<g key=${seconds}>
        <line class=${seconds ? "grid" : "base"} x1=${LEFT} x2=${WIDTH} y1=${y(seconds)} y2=${y(seconds)} />
        <text x=${LEFT - 8} y=${y(seconds) + 4} text-anchor="end">${seconds ? tell(seconds) : "0"}</text></g>`)}
      ${days.map((one, at) => html`<g key=${one}>
        <title>${`${nameDay(one)}: ${tell(sums[at])}`}</title>
        <rect x=${LEFT + at * slot} y=${TOP} width=${slot} height=${HEIGHT - TOP - BOTTOM} fill="transparent" />
        ${stacked(series, at).map(({ which, from, to }) => html`<rect key=${which} class="series-${which}" x=${LEFT + at * slot + (slot - bar) / 2}
          y=${y(to)} width=${bar} height=${Math.max(1, y(from) - y(to))} rx="1" />`)}
        ${(days.length - 1 - at) % every === 0 && html`<text x=${LEFT + (at + 0.5) * slot} y=${HEIGHT - 6} text-anchor="middle">${nameDay(one)}</text>`}
      </g>`)}
    </svg>
    <figcaption class="legend">${series.map(({ name }, which) => html`<span key=${name}><i class="series-${which}"></i>${name}</span>`)}</figcaption>
  </figure>`;
}

/** The parts of one day's bar, from the bottom up. */
function stacked(series, at) {
  let from = 0;
  const parts = [];
  series.forEach(({ values }, which) => {
    if (values[at] > 0) parts.push({ which, from, to: from + values[at] });
    from += values[at];
  });
  return parts;
}
