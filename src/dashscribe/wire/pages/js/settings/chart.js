// Bars per day, stacked: plain SVG, as wide as there is room, so that its letters keep their size on a phone.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";

const [HEIGHT, LEAST_LEFT, GAP, RIGHT, BOTTOM, TOP] = [200, 60, 8, 16, 22, 8];

/** Steps that people count time by, in seconds. */
const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 18_000, 36_000, 86_400, 172_800, 432_000, 864_000];

/**
 * `series`: [{name, values}], a value in seconds for each of `days`; `tell(seconds)` and `nameDay(day)` write them. The
 * numbers stand in a table beside it, so readers get one sentence, `label`.
 */
export function Chart({ label, days, series, tell, nameDay }) {
  const [element, width] = useWidth();
  const sums = days.map((_, at) => series.reduce((sum, { values }) => sum + values[at], 0));
  const most = Math.max(1, ...sums);
  const step = STEPS.find((one) => most / one <= 4) ?? Math.ceil(most / 4);
  const top = Math.ceil(most / step) * step;
  const y = (seconds) => HEIGHT - BOTTOM - (seconds / top) * (HEIGHT - BOTTOM - TOP);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, at) => at * step);
  const numbers = ticks.map((seconds) => (seconds ? tell(seconds) : "0"));
  const left = Math.max(LEAST_LEFT, useWidest(element, numbers) + GAP);
  const slot = (width - left - RIGHT) / days.length;
  const bar = Math.max(2, Math.min(28, slot * 0.7));
  const every = Math.ceil(days.length / Math.max(2, Math.floor(width / 90)));
  return html`<figure class="stack close" ref=${element}>
    <svg class="chart" width=${width} height=${HEIGHT} viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label=${label}>
      ${ticks.map((seconds, at) => html`<g key=${seconds}>
        <line class=${seconds ? "grid" : "base"} x1=${left} x2=${width - RIGHT} y1=${y(seconds)} y2=${y(seconds)} />
        <text class="tick" x=${left - GAP} y=${y(seconds) + 4} text-anchor="end">${numbers[at]}</text></g>`)}
      ${days.map((one, at) => html`<g key=${one}>
        <title>${`${nameDay(one)}: ${tell(sums[at])}`}</title>
        <rect x=${left + at * slot} y=${TOP} width=${slot} height=${HEIGHT - TOP - BOTTOM} fill="transparent" />
        ${stacked(series, at).map(({ which, from, to }) => html`<rect key=${which} class="series-${which}" x=${left + at * slot + (slot - bar) / 2}
          y=${y(to)} width=${bar} height=${Math.max(1, y(from) - y(to))} rx="1" />`)}
        ${(days.length - 1 - at) % every === 0 && html`<${DayName} x=${left + (at + 0.5) * slot} width=${width}>${nameDay(one)}<//>`}
      </g>`)}
    </svg>
    <figcaption class="legend">${series.map(({ name }, which) => html`<span key=${name}><i class="series-${which}"></i>${name}</span>`)}</figcaption>
  </figure>`;
}

/** Below its bar; the last one ends with the picture, which would cut it off. */
function DayName({ x, width, children }) {
  const isCut = x > width - 28;
  return html`<text x=${isCut ? width : x} y=${HEIGHT - 6} text-anchor=${isCut ? "end" : "middle"}>${children}</text>`;
}

/** A ref for an element, and how wide it is now. */
function useWidth() {
  const element = useRef(null);
  const [width, setWidth] = useState(720);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.round(entry.contentRect.width))));
    watch.observe(element.current);
    return () => watch.disconnect();
  }, []);
  return [element, width];
}

/** How wide the widest of the numbers beside the bars is. */
function useWidest(element, numbers) {
  const [widest, setWidest] = useState(0);
  useLayoutEffect(() => {
    const widths = [...element.current.querySelectorAll(".tick")].map((one) => one.getComputedTextLength());
    setWidest(Math.ceil(Math.max(0, ...widths)));
  }, [numbers.join()]);
  return widest;
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
