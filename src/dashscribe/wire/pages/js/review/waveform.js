// The recording as a picture: the whole of it, and below it, for long ones, the stretch around the place that sounds.
//
// Two canvases as wide as the screen, drawn only when what they show changes; what moves while it plays are two small
// elements that the browser shifts without drawing. So 12 hours cost what a minute costs. (A widget that draws the
// whole recording at a readable scale needs a strip of a million pixels, and brings styles that our policy refuses.)

import { lastAtMost } from "./words.js";

/** Shorter recordings are readable in the overview alone. */
const DETAIL_FROM_MS = 120_000;
const ZOOMS_MS = [10_000, 30_000, 60_000, 180_000, 600_000];
const STRIP_PX = 5; // of speakers, at the bottom

export class Waveform {
  /** `overview` and `detail` are elements with a canvas, a `.head` and, the overview, a `.range`; `seek(ms)` is told. */
  constructor({ overview, detail, palette }, seek) {
    Object.assign(this, { overview, detail, palette, seek });
    this.duration_ms = 0;
    this.now_ms = 0;
    this.from_ms = 0;
    this.zoom_ms = 60_000;
    this.peaks = { rate_hz: 1, channels: [] };
    this.pauses = [];
    this.failures = [];
    this.sentences = [];
    this.widths = new Map();
    this.sizes = new ResizeObserver(() => this.draw());
    this.ending = new AbortController();
    for (const panel of [overview, detail]) {
      this.sizes.observe(panel);
      panel.addEventListener("pointerdown", (event) => this.press(panel, event), { signal: this.ending.signal });
    }
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.draw(), { signal: this.ending.signal });
    this.themes = new MutationObserver(() => this.draw());
    this.themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  close() {
    clearTimeout(this.timer);
    this.sizes.disconnect();
    this.themes.disconnect();
    this.ending.abort();
  }

  /** Show other data: any of duration_ms, peaks, pauses, failures, sentences. */
  set(data) {
    Object.assign(this, data);
    this.detail.hidden = this.duration_ms < DETAIL_FROM_MS;
    this.draw();
  }

  /** The same, once nothing more has come for a moment: while somebody types. */
  soon(data) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.set(data), 300);
  }

  zoom(step) {
    const at = ZOOMS_MS.indexOf(this.zoom_ms) + step;
    this.zoom_ms = ZOOMS_MS[Math.min(ZOOMS_MS.length - 1, Math.max(0, at))];
    this.from_ms = this.clamped(this.now_ms - this.zoom_ms / 4);
    this.draw();
  }

  clamped(from_ms) {
    return Math.max(0, Math.min(from_ms, this.duration_ms - this.zoom_ms));
  }

  /** Where the sound is. */
  at(ms) {
    this.now_ms = ms;
    this.shift(this.overview, ms / (this.duration_ms || 1));
    if (this.detail.hidden) return;
    if (ms < this.from_ms || ms > this.from_ms + this.zoom_ms) {
      this.from_ms = this.clamped(ms - this.zoom_ms / 10);
      this.drawDetail();
    }
    this.shift(this.detail, (ms - this.from_ms) / this.zoom_ms);
  }

  shift(panel, share) {
    const width = this.widths.get(panel) ?? 0; // as last drawn: asking the page in every frame would have it laid out
    panel.querySelector(".head").style.transform = `translateX(${Math.min(1, Math.max(0, share)) * width}px)`;
  }

  press(panel, event) {
    if (event.button !== 0) return;
    const go = (at) => {
      const box = panel.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (at.clientX - box.left) / box.width));
      this.seek(panel === this.overview ? share * this.duration_ms : this.from_ms + share * this.zoom_ms);
    };
    go(event);
    panel.setPointerCapture(event.pointerId);
    panel.addEventListener("pointermove", go, { signal: this.ending.signal });
    const done = () => panel.removeEventListener("pointermove", go);
    panel.addEventListener("lostpointercapture", done, { once: true, signal: this.ending.signal });
  }

  draw() {
    if (this.ending.signal.aborted) return; // peaks that come when the page has been left
    this.colors = this.palette();
    this.paint(this.overview, 0, this.duration_ms);
    this.drawDetail();
    this.at(this.now_ms);
  }

  drawDetail() {
    const range = this.overview.querySelector(".range");
    range.hidden = this.detail.hidden;
    if (this.detail.hidden) return;
    this.paint(this.detail, this.from_ms, this.from_ms + this.zoom_ms);
    const width = this.overview.clientWidth;
    range.style.transform = `translateX(${(this.from_ms / this.duration_ms) * width}px)`;
    range.style.width = `${Math.max(2, (this.zoom_ms / this.duration_ms) * width)}px`;
  }

  paint(panel, from_ms, to_ms) {
    const canvas = panel.querySelector("canvas");
    const [width, height, dots] = [panel.clientWidth, panel.clientHeight, devicePixelRatio || 1];
    this.widths.set(panel, width);
    if (!width || !height || to_ms <= from_ms) return;
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    const pen = canvas.getContext("2d");
    pen.scale(dots, dots);
    const x = (ms) => ((ms - from_ms) / (to_ms - from_ms)) * width;
    const visible = (list) => within(list, from_ms, to_ms);
    for (const { begin_ms, end_ms } of visible(this.pauses)) {
      pen.fillStyle = this.colors.pause;
      pen.fillRect(x(begin_ms), 0, x(end_ms) - x(begin_ms), height - STRIP_PX);
    }
    this.channels(pen, from_ms, to_ms, width, height - STRIP_PX);
    for (const { begin_ms, end_ms } of visible(this.failures)) {
      hatch(pen, x(begin_ms), Math.max(2, x(end_ms) - x(begin_ms)), height - STRIP_PX, this.colors.failure);
    }
    for (const { begin_ms, end_ms, speaker } of visible(this.sentences)) {
      pen.fillStyle = speaker === undefined ? this.colors.wave : this.colors.speakers[speaker % this.colors.speakers.length];
      pen.fillRect(x(begin_ms), height - STRIP_PX + 1, Math.max(1, x(end_ms) - x(begin_ms)), STRIP_PX - 1);
    }
  }

  channels(pen, from_ms, to_ms, width, height) {
    const { rate_hz, begin_ms: begins_ms = 0, channels } = this.peaks;
    const share = height / Math.max(1, channels.length);
    pen.fillStyle = this.colors.wave;
    channels.forEach((values, channel) => {
      const middle = share * (channel + 0.5);
      const perPixel = ((to_ms - from_ms) / 1000) * rate_hz / width;
      const first = ((from_ms - begins_ms) / 1000) * rate_hz;
      for (let at = 0; at < width; at += 1) {
        const begin = Math.floor(first + at * perPixel);
        const end = Math.max(begin + 1, Math.floor(first + (at + 1) * perPixel));
        let most = 0;
        for (let index = Math.max(0, begin); index < end && index < values.length; index += 1) if (values[index] > most) most = values[index];
        const half = Math.max(0.5, (most / 127) * share * 0.48);
        pen.fillRect(at, middle - half, 1, half * 2);
      }
    });
  }
}

/** The items of a list in order that overlap a stretch. */
function within(list, from_ms, to_ms) {
  const first = Math.max(0, lastAtMost(list, from_ms, (item) => item.begin_ms) - 1);
  const end = lastAtMost(list, to_ms, (item) => item.begin_ms);
  return list.slice(first, end + 1).filter((item) => item.end_ms > from_ms);
}

/** Slanted lines, so that failures are told from pauses by more than their color. */
function hatch(pen, left, width, height, color) {
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, width, height);
  pen.clip();
  pen.globalAlpha = 0.22;
  pen.fillStyle = color;
  pen.fillRect(left, 0, width, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = color;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (let at = left - height; at < left + width; at += 6) {
    pen.moveTo(at, height);
    pen.lineTo(at + height, 0);
  }
  pen.stroke();
  pen.restore();
}
