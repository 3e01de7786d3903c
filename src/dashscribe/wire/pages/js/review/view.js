// The transcript on the screen: rows of the list, the word that sounds, marks of what was found, and typing in place.

import { clock, duration, languageName, t } from "../i18n.js";
import { isAt, make, offsetAt, rangeOf } from "./elements.js";
import { Field } from "./field.js";
import { itemsOf } from "./items.js";
import { Clock, placeAt, placesOf } from "./words.js";
import { WindowedList } from "./windowed.js";

export const SPEAKER_COLORS = 8;

/** A speaker's name: the given one, else a number that counts from 1. */
export const speakerName = (names, speaker) => names[speaker] || t("review.speaker", { number: speaker + 1 });

/** Han, kana and Hangul take about two columns: for guesses of heights. */
const WIDE = /[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]/g;

export class TranscriptView {
  /**
   * `on` are called: seek(ms), speaker(key, button), typed(key, text), split(key, offset), merge(key), emptied(key),
   * left(), moved() when it follows the sound no longer, or again.
   */
  constructor({ scroller, stage }, on) {
    Object.assign(this, { scroller, stage, on });
    this.names = {};
    this.notes = { pauses: [], failures: [] };
    this.unsure = 0; // words below this confidence are marked
    this.following = true;
    this.readOnly = false;
    this.sounding = new Map(); // key -> index of the word, -1 between words
    this.found = new Map(); // key -> [{from, to, isNow}]
    this.ranges = new Map(); // key -> ranges of the page
    this.list = new WindowedList(scroller, stage, {
      draw: (item, index) => this.draw(item, index),
      guess: (item, width) => this.guess(item, width),
      removed: (key) => this.ranges.delete(key),
    });
    this.ending = new AbortController();
    const { signal } = this.ending;
    stage.addEventListener("click", (event) => this.click(event), { signal });
    stage.addEventListener("dblclick", (event) => this.doubleClick(event), { signal });
    for (const name of ["wheel", "touchmove"]) scroller.addEventListener(name, () => this.moved(), { signal, passive: true });
    scroller.addEventListener("pointerdown", (event) => event.target === scroller && this.moved(), { signal });
  }

  close() {
    this.ending.abort();
    this.list.close();
    for (const name of ["found", "found-now"]) globalThis.CSS?.highlights?.delete(name);
  }

  /** Show these sentences; `notes` are stretches without any, `names` those of the speakers. */
  show({ sentences, names, notes, readOnly, several }) {
    const isNew = JSON.stringify(names) !== JSON.stringify(this.names) || readOnly !== this.readOnly || several !== this.several;
    const before = this.sentences ?? [];
    const isAsBefore = (one, at) => one.key === before[at].key && one.speaker === before[at].speaker && one.channel === before[at].channel;
    const isRearranged = sentences.length !== before.length || !sentences.every(isAsBefore);
    Object.assign(this, { names: { ...names }, notes, readOnly, several, sentences });
    this.clock = undefined; // made when something sounds
    if (isRearranged) this.heads = this.headsOf(sentences);
    if (readOnly) this.leave();
    if (this.field) {
      const sentence = sentences.find((one) => one.key === this.field.key);
      if (sentence) this.field.show(sentence.text);
      else this.leave();
    }
    this.list.setItems(itemsOf(sentences, notes));
    if (isNew) this.list.redraw();
    if (isRearranged) this.refreshHeads();
  }

  /** The keys of sentences whose speaker is another than that before, or that come after a while. */
  headsOf(sentences) {
    const heads = new Set();
    sentences.forEach((sentence, index) => {
      const before = sentences[index - 1];
      const changes = !before || before.speaker !== sentence.speaker || before.channel !== sentence.channel;
      if (changes) heads.add(sentence.key);
    });
    return heads;
  }

  refreshHeads() {
    for (const [key, { element, item }] of this.list.rows) {
      if (item.kind) continue;
      element.classList.toggle("continues", !this.heads.has(key));
    }
  }

  redraw() {
    this.list.redraw();
  }

  guess(item, width) {
    if (item.kind) return 40;
    const columns = item.text.length + (item.text.match(WIDE)?.length ?? 0);
    const isNarrow = width < 640;
    const perLine = Math.max(20, (width - (isNarrow ? 40 : 230)) / 7.6);
    return Math.ceil(columns / perLine) * 25 + (isNarrow ? 44 : 14);
  }

  // Drawing.

  draw(item, index) {
    const row = item.kind ? this.drawStretch(item) : this.drawSentence(item);
    row.setAttribute("role", "listitem");
    row.setAttribute("aria-setsize", this.list.items.length);
    row.setAttribute("aria-posinset", index + 1);
    row.dataset.key = item.key;
    return row;
  }

  drawStretch({ kind, begin_ms, end_ms, reason, channel }) {
    const text = t(kind === "pause" ? "review.pause" : "review.failure", { duration: duration(end_ms - begin_ms) });
    const where = kind === "failure" && this.several ? t("review.channel", { number: channel + 1 }) : undefined;
    return make("div", { class: `line stretch ${kind}` },
      this.timeButton(begin_ms),
      make("p", {}, make("span", {}, [where, text].filter(Boolean).join(" · ")), reason ? make("small", { lang: "en" }, reason) : undefined));
  }

  drawSentence(sentence) {
    const text = make("p", { class: "said", lang: sentence.language || undefined, dir: "auto" });
    this.fill(text, sentence);
    const actions = this.readOnly ? undefined : this.button("edit", t("review.edit", { time: clock(sentence.begin_ms) }), "");
    const row = make("div", { class: `line sentence${sentence.edited ? " edited" : ""}` },
      make("div", { class: "who" }, this.speakerButton(sentence), this.timeButton(sentence.begin_ms), this.tags(sentence)), text, actions);
    row.classList.toggle("continues", !this.heads.has(sentence.key));
    row.dataset.key = sentence.key;
    if (sentence.speaker !== undefined) row.dataset.speaker = sentence.speaker % SPEAKER_COLORS;
    if (this.sounding.has(sentence.key)) this.light(row, this.sounding.get(sentence.key));
    this.highlight(sentence.key, row);
    if (this.field?.key === sentence.key) this.field.into(row);
    return row;
  }

  /**
   * The text of a sentence. Only one that sounds has an element for each word: text without is laid out several times
   * faster, which is what scrolling costs. A click finds its word by the place in the text.
   */
  fill(paragraph, sentence, { words = false } = {}) {
    let at = 0;
    const spans = new Map(); // index of the word -> its element
    for (const { from, to, index } of placesOf(sentence)) {
      const { confidence } = sentence.words[index];
      const isUnsure = confidence !== undefined && confidence < this.unsure;
      if (!words && !isUnsure) continue;
      const span = document.createElement("span");
      span.className = isUnsure ? "word unsure" : "word";
      if (isUnsure) span.title = t("review.confidence", { percent: Math.round(confidence * 100) });
      span.textContent = sentence.text.slice(from, to);
      spans.set(index, span);
      if (from > at) paragraph.append(sentence.text.slice(at, from));
      paragraph.append(span);
      at = to;
    }
    if (at < sentence.text.length) paragraph.append(sentence.text.slice(at));
    paragraph.words = words ? spans : undefined;
  }

  button(action, label, text, attributes = {}) {
    return make("button", { type: "button", class: `act ${action}`, "data-act": action, "aria-label": label, tabindex: -1, ...attributes }, text);
  }

  timeButton(ms) {
    return this.button("seek", t("review.playFrom", { time: clock(ms) }), clock(ms), { "data-ms": ms });
  }

  speakerButton({ speaker, channel }) {
    const where = this.several ? t("review.channel", { number: channel + 1 }) : "";
    if (speaker === undefined) {
      if (this.readOnly) return where ? make("span", { class: "channel" }, where) : undefined;
      return this.button("speaker", t("review.setSpeaker"), where || "+", { class: "act speaker nobody" });
    }
    const name = speakerName(this.names, speaker);
    const shown = make("span", { class: "name" }, name);
    const dot = make("span", { class: "dot", "aria-hidden": "true" }, String(speaker + 1));
    if (this.readOnly) return make("span", { class: "speaker" }, dot, shown);
    const button = this.button("speaker", t("review.speakerIs", { name }), "");
    button.append(dot, shown);
    return button;
  }

  tags({ emotion, events = [], language }) {
    const told = [];
    if (emotion && emotion !== "neutral") told.push(known("review.emotion.", emotion));
    for (const event of events) told.push(known("review.event.", typeof event === "string" ? event : event.name ?? ""));
    if (language && this.languages?.length > 1) told.push(languageName(language));
    return told.length ? make("span", { class: "tags" }, told.filter(Boolean).join(" · ")) : undefined;
  }

  // The word that sounds.

  /** Mark what sounds at an instant; scrolls along while following. Gives the key of the current sentence. */
  at(ms) {
    if (!this.sentences) return undefined;
    this.clock ??= new Clock(this.sentences);
    const now = new Map();
    let current;
    for (const { sentence, word } of this.clock.at(ms)) {
      now.set(sentence.key, word);
      current = sentence.key;
    }
    for (const [key, word] of this.sounding) if (now.get(key) !== word) this.darken(key, !now.has(key));
    for (const [key, word] of now) if (this.sounding.get(key) !== word) this.lightKey(key, word);
    this.sounding = now;
    if (current !== this.current) {
      this.current = current;
      if (this.following && !this.field) this.toCurrent();
    }
    return current;
  }

  darken(key, isOver) {
    const row = this.list.element(key);
    row?.querySelector(".word.now")?.classList.remove("now");
    if (!isOver || !row) return;
    row.removeAttribute("aria-current");
    for (const button of row.querySelectorAll("button.act")) button.tabIndex = -1;
  }

  lightKey(key, word) {
    const row = this.list.element(key);
    if (row) this.light(row, word);
  }

  light(row, word) {
    row.setAttribute("aria-current", "true");
    for (const button of row.querySelectorAll("button.act")) button.tabIndex = 0;
    const text = row.querySelector("p.said");
    if (word < 0 || !text) return;
    if (!text.words) {
      text.replaceChildren();
      this.fill(text, this.sentenceOf(row), { words: true });
      this.highlight(keyOf(row), row);
    }
    text.words.get(word)?.classList.add("now");
  }

  toCurrent({ soft = !matchMedia("(prefers-reduced-motion: reduce)").matches } = {}) {
    if (this.current !== undefined) this.list.scrollTo(this.current, { at: 0.3, soft });
  }

  moved() {
    if (!this.following) return;
    this.following = false;
    this.on.moved();
  }

  // What was found.

  /** Mark the places that were found; `now` is one of them, which is brought into view. */
  mark(found, now) {
    this.found = new Map();
    for (const match of found) {
      if (!this.found.has(match.key)) this.found.set(match.key, []);
      this.found.get(match.key).push({ ...match, isNow: match === now });
    }
    this.ranges.clear();
    for (const [key, { element }] of this.list.rows) this.highlight(key, element);
    this.paint();
    if (now && !this.list.isInView(now.key)) this.list.scrollTo(now.key, { at: 0.3 });
  }

  highlight(key, row) {
    row.classList.toggle("has-match", this.found.has(key));
    const text = row.querySelector("p.said");
    if (!text || !this.found.has(key)) return;
    this.ranges.set(key, this.found.get(key).map(({ from, to, isNow }) => ({ range: rangeOf(text, from, to), isNow })));
    queueMicrotask(() => this.paint());
  }

  paint() {
    // Where browsers cannot mark ranges (before 2025 in Firefox), rows with a match have a bar beside them.
    if (!globalThis.CSS?.highlights) return;
    const all = [...this.ranges.values()].flat();
    const ranges = (isNow) => all.filter((one) => one.isNow === isNow).map((one) => one.range);
    CSS.highlights.set("found", new Highlight(...ranges(false)));
    CSS.highlights.set("found-now", new Highlight(...ranges(true)));
  }

  // Pointing and typing.

  click(event) {
    const button = event.target.closest("button[data-act]");
    const row = event.target.closest(".line");
    if (!row) return;
    const key = keyOf(row);
    if (button?.dataset.act === "seek") return this.seek(Number(button.dataset.ms));
    if (button?.dataset.act === "edit") return this.edit(key);
    if (button?.dataset.act === "speaker") return this.on.speaker(key, button);
    const text = event.target.closest("p.said");
    if (!text || !getSelection().isCollapsed) return undefined;
    const sentence = this.sentenceOf(row);
    const place = placeAt(sentence, offsetAt(text, event.clientX, event.clientY));
    if (!place || !isAt(rangeOf(text, place.from, place.to), event)) return undefined;
    return this.seek(sentence.words[place.index].begin_ms);
  }

  sentenceOf(row) {
    const key = keyOf(row);
    return this.sentences.find((one) => one.key === key);
  }

  seek(ms) {
    const follows = this.following;
    this.following = true;
    this.on.seek(ms);
    if (!follows) this.on.moved();
  }

  doubleClick(event) {
    const text = event.target.closest(".said");
    if (!text || this.readOnly || text.tagName !== "P") return;
    getSelection().removeAllRanges();
    this.edit(keyOf(text.closest(".line")), offsetAt(text, event.clientX, event.clientY));
  }

  /** Type in a sentence, the caret at an offset of its text. */
  edit(key, offset = 0) {
    const sentence = this.sentences.find((one) => one.key === key);
    if (!sentence || this.readOnly) return;
    if (this.field?.key !== key) this.leave({ silent: true });
    this.list.pinned = key;
    if (!this.list.isInView(key)) this.list.scrollTo(key, { at: 0.3 });
    else this.list.show(); // it may be one that is not drawn yet
    this.field ??= new Field(sentence, {
      typed: (text) => this.on.typed(key, text),
      split: (at) => this.on.split(key, at),
      merge: () => this.on.merge(key),
      next: (step) => this.editBeside(key, step),
      leave: (how) => this.leave(how),
    });
    this.field.into(this.list.element(key));
    this.field.focus(offset);
  }

  editBeside(key, step) {
    const index = this.sentences.findIndex((one) => one.key === key) + step;
    const beside = this.sentences[index];
    if (beside) this.edit(beside.key, step > 0 ? 0 : beside.text.length);
    else this.leave({ focus: true });
  }

  /** End typing. */
  leave({ focus = false, silent = false } = {}) {
    const { field } = this;
    if (!field) return;
    this.field = undefined;
    this.list.pinned = undefined;
    field.close();
    const row = this.list.rows.get(field.key);
    if (row) row.item = undefined; // to be drawn anew
    if (!field.text.trim()) this.on.emptied(field.key);
    this.list.show();
    if (focus) this.scroller.focus({ preventScroll: true });
    if (!silent) this.on.left();
  }
}

/** A row's key as the list has it: sentences count, stretches have names. */
function keyOf(row) {
  const { key } = row.dataset;
  return row.classList.contains("sentence") ? Number(key) : key;
}

/** The text of a tag that has one, else the tag as the engine gave it. */
function known(prefix, tag) {
  const text = t(prefix + tag);
  return text === prefix + tag ? tag : text;
}
