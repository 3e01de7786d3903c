// Two transcripts of one recording side by side: what differs is marked, a click plays that side.

import { get } from "../api.js";
import { Button, LinkButton } from "../components/button.js";
import { Page } from "../components/page.js";
import { Progress } from "../components/progress.js";
import { ErrorNote, Loading, Note } from "../components/states.js";
import { clock, instant, known, languageName, percent, t } from "../i18n.js";
import { html, useLayoutEffect, useReducer, useRef, useState } from "../lib.js";
import { useLoad, usePolling } from "../loading.js";
import { link } from "../router.js";
import { differences, inTime } from "./differences.js";
import { make } from "./elements.js";
import { findSound, Player } from "./player.js";
import { pathOf, titleOf, ToLibrary } from "./recording.js";
import { WindowedList } from "./windowed.js";
import { lastAtMost } from "./words.js";

const SIDES = ["left", "right"];
const hasEnded = (recording) => recording && recording.status !== "PENDING" && recording.status !== "RUNNING";

export default function Compare({ params: { left, right } }) {
  const mine = useLoad((signal) => get(pathOf(left), {}, { signal }), [left]);
  const other = useLoad((signal) => get(pathOf(right), {}, { signal }), [right]);
  const isWaiting = Boolean(other.data) && !hasEnded(other.data);
  usePolling(async (signal) => {
    other.setData(await get(pathOf(right), {}, { signal }));
    return true;
  }, isWaiting, [right]);
  const error = mine.error ?? other.error;
  const isOne = mine.data && (!other.data || titleOf(mine.data) === titleOf(other.data));
  const title = isOne ? `${t("compare.title")}: ${titleOf(mine.data)}` : t("compare.title");
  const page = (children, lead) => html`<${Page} wide title=${title} lead=${lead} actions=${html`<${ToLibrary} />`}>${children}<//>`;
  if (error) return page(html`<${ErrorNote} error=${error} retry=${() => { mine.reload(); other.reload(); }} />`);
  if (!mine.data || !other.data) return page(html`<${Loading} />`);
  if (isWaiting) return page(html`<${Waiting} recording=${other.data} />`);
  if (other.data.status !== "SUCCEEDED") {
    return page(html`<${Note} kind="bad"><strong>${t("compare.failed")}</strong>
      ${other.data.message && html`<p lang="en">${other.data.message}</p>`}
      <${LinkButton} href=${link(`/recordings/${encodeURIComponent(right)}`)}>${t("compare.open")}<//><//>`);
  }
  return html`<${SideBySide} recordings=${{ left: mine.data, right: other.data }} page=${page} />`;
}

function Waiting({ recording }) {
  const { done_ms = 0, total_ms = 0 } = recording.progress ?? {};
  return html`<div class="card stack" role="status"><h2>${t(`status.${recording.status}`)}</h2>
    <${Progress} label=${t("review.progress")} done=${done_ms} total=${total_ms}>
      ${total_ms > 0 && t("review.progressOf", { done: clock(done_ms), total: clock(total_ms), share: percent(done_ms / total_ms) })}<//>
    <p class="soft">${t("compare.running")}</p></div>`;
}

function SideBySide({ recordings, page }) {
  const { left, right } = recordings;
  const compared = useLoad((signal) => get(`${pathOf(left.id)}/compare`, { with: right.id }, { signal }), [left.id, right.id]);
  if (compared.error) return page(html`<${ErrorNote} error=${compared.error} retry=${compared.reload} />`);
  if (!compared.data) return page(html`<${Loading} />`);
  return html`<${Texts} recordings=${recordings} compared=${compared.data} page=${page} />`;
}

function Texts({ recordings, compared, page }) {
  const [, draw] = useReducer((turn) => turn + 1, 0);
  const [at, setAt] = useState(-1);
  const elements = useRef({});
  const parts = useRef(null);
  useLayoutEffect(() => { // both at once, so that no key comes between what is shown and what hears it
    parts.current = open(recordings, compared.pairs, elements.current, draw);
    document.documentElement.classList.add("at-work");
    draw();
    return () => {
      document.documentElement.classList.remove("at-work");
      parts.current.close();
    };
  }, []);
  const { places, players, view } = parts.current ?? { places: [] };
  const go = (step) => {
    const next = Math.min(places.length - 1, Math.max(0, at + step));
    setAt(next);
    view.point(next);
  };
  useLayoutEffect(() => {
    const press = (event) => {
      const { key, target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest?.("input, select, textarea")) return;
      if (key === "n" && places.length) go(1);
      else if (key === "p" && places.length) go(-1);
      else if (key === " " && !target.closest?.("button, a")) parts.current.toggle();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [at, places]);
  const { words, changed } = compared.figures;
  const lead = changed ? t("compare.figures", { words, changed, places: places.length, share: percent(changed / Math.max(1, words)) }) : t("compare.same");
  const settings = differentSettings(recordings);
  const isOne = titleOf(recordings.left) === titleOf(recordings.right);
  const head = (side) => html`<div class="side-head" key=${side}>
    <${Button} kind="small" icon=${players?.[side].isPlaying ? "pause" : "play"} disabled=${!players || players[side].trouble === "none"}
      label=${t(players?.[side].isPlaying ? "review.stop" : "review.play")} onClick=${() => parts.current.toggle(side)} />
    <div><h2>${isOne ? recordings[side].model : `${titleOf(recordings[side])} · ${recordings[side].model}`}</h2>${settings[side].length > 0 && html`<p class="soft">${settings[side].join(" · ")}</p>`}<p class="soft"><time class="number" ref=${(element) => { elements.current[`${side}Time`] = element; }}>0:00</time> · ${instant(recordings[side].submitted_at)}</p></div>
    <a href=${link(`/recordings/${encodeURIComponent(recordings[side].id)}`)}>${t("compare.open")}</a>
  </div>`;
  return page(html`<div class="work compare">
    <div class="row spread"><p class="soft">${t("compare.hint")}</p>
      ${places.length > 0 && html`<div class="buttons">
        <span class="number" role="status">${at >= 0 && t("compare.at", { at: at + 1, count: places.length })}</span>
        <${Button} kind="small" icon="back" label=${t("compare.before")} disabled=${at <= 0} onClick=${() => go(-1)} />
        <${Button} kind="small" icon="next" label=${t("compare.next")} disabled=${at >= places.length - 1} onClick=${() => go(1)} /></div>`}</div>
    <div class="side-heads">${SIDES.map(head)}</div>
    <div class="scroller" tabindex="0" role="region" aria-label=${t("compare.text")} ref=${(element) => { elements.current.scroller = element; }}>
      <div class="stage" role="list" ref=${(element) => { elements.current.stage = element; }}></div></div>
  </div>`, lead);
}

/** What each side was asked for and the other was not, in words. */
function differentSettings(recordings) {
  const asked = Object.fromEntries(SIDES.map((side) => [side, recordings[side].options ?? {}]));
  const names = Object.keys({ ...asked.left, ...asked.right }).filter((name) => JSON.stringify(asked.left[name]) !== JSON.stringify(asked.right[name]));
  const told = (name, value) => {
    const label = known(`setting.${name}`) ? t(`setting.${name}`) : name;
    if (value === true || value === undefined) return label;
    if (value === false) return t("setting.without", { label });
    const listed = Array.isArray(value) ? value : typeof value === "object" ? Object.keys(value) : [value];
    return `${label}: ${listed.map((one) => (name.startsWith("language") ? languageName(one) : one)).join(", ")}`;
  };
  const of = (side) => names.filter((name) => asked[side][name] !== undefined).map((name) => told(name, asked[side][name]));
  return Object.fromEntries(SIDES.map((side) => [side, of(side)]));
}

/** The list and two players, of which at most one plays. */
function open(recordings, pairs, elements, draw) {
  const { rows, places } = differences(pairs);
  const words = Object.fromEntries(SIDES.map((side) => [side, inTime(rows, side)]));
  const sounding = {};
  const times = { left: elements.leftTime, right: elements.rightTime };
  let pointed = -1;
  let last = "left";
  const list = new WindowedList(elements.scroller, elements.stage, {
    draw: (row, index) => drawRow(row, index, rows.length, pointed),
    guess: (row, width) => guess(row, width),
  });
  const player = (side) => new Player({
    find: (signal) => findSound(pathOf(recordings[side].id), signal),
    told: draw,
    tick: (ms) => {
      const told = clock(ms);
      if (times[side].firstChild.data !== told) times[side].firstChild.data = told;
      const word = words[side][lastAtMost(words[side], ms, (one) => one.begin_ms)];
      if (word === sounding[side]) return;
      wordElement(list, side, sounding[side])?.classList.remove("now");
      wordElement(list, side, word)?.classList.add("now");
      sounding[side] = word;
      if (word && players[side].isPlaying && !list.isInView(word.key)) list.scrollTo(word.key, { at: 0.3, soft: true });
    },
  });
  const players = Object.fromEntries(SIDES.map((side) => [side, player(side)]));
  const play = (side, ms) => {
    for (const other of SIDES) if (other !== side) players[other].pause();
    last = side;
    if (ms !== undefined) players[side].seek(ms);
    players[side].play();
  };
  const toggle = (side = last) => (players[side].isPlaying ? players[side].pause() : play(side));
  const click = (event) => {
    const word = event.target.closest("[data-ms]");
    if (word && getSelection().isCollapsed) play(word.closest("[data-side]").dataset.side, Number(word.dataset.ms));
  };
  elements.stage.addEventListener("click", click);
  list.setItems(rows);
  const view = {
    point(place) {
      pointed = place;
      list.redraw();
      list.scrollTo(places[place], { at: 0.3 });
    },
  };
  const close = () => {
    for (const side of SIDES) players[side].close();
    list.close();
  };
  return { places, players, view, toggle, close };
}

const wordElement = (list, side, word) => word && list.element(word.key)?.querySelector(`[data-side="${side}"] [data-word="${word.index}"]`);

function guess(row, width) {
  const columns = Math.max(...SIDES.map((side) => row[side].reduce((sum, word) => sum + word.text.length + word.before.length, 0)));
  return Math.max(1, Math.ceil(columns / Math.max(16, width / 2 / 8))) * 25 + 16;
}

function drawRow(row, index, count, pointed) {
  const sides = SIDES.map((side) => make("p", { "data-side": side, dir: "auto" }, ...drawWords(row[side], side, pointed)));
  return make("div", { class: "line pair", role: "listitem", "aria-setsize": count, "aria-posinset": index + 1 }, ...sides);
}

/** Words one after another; those of one difference together in one element. */
function drawWords(words, side, pointed) {
  const parts = [];
  let open;
  words.forEach((word, index) => {
    const element = make("span", { class: "word", "data-ms": word.begin_ms, "data-word": index }, word.text);
    if (!word.isChanged) {
      open = undefined;
      parts.push(word.before, element);
    } else if (open?.place === word.place) open.element.append(word.before, element);
    else {
      const isNow = word.place === pointed;
      open = { place: word.place, element: make(side === "left" ? "del" : "ins", { class: isNow ? "is-now" : undefined }, element) };
      parts.push(word.before, open.element);
    }
  });
  return parts;
}
