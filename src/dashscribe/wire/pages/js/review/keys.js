// Keys, and the list of them.

import { t } from "../i18n.js";
import { html } from "../lib.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { toast } from "../components/toast.js";
import { isComposing } from "../components/field.js";
import { JUMP_MS } from "./player_bar.js";

const LONG_JUMP_MS = 10_000;
const SHORT_JUMP_MS = 1000;

/** Handle keys until the returned function is called; `now()` gives the page's parts and deeds as they are. */
export function keyboard(now) {
  const listen = (event) => {
    if (isComposing(event) || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const deed = withControl(event, now()) ?? plain(event, now());
    if (!deed) return;
    event.preventDefault();
    deed();
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}

const isTyping = (target) => Boolean(target.closest?.("input:not([type=checkbox]), textarea, select"));

function withControl(event, { player, view, saving, step, original, setFinding }) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || !player) return undefined;
  const inText = event.target.classList?.contains("typing");
  const steps = !original && (inText || !isTyping(event.target));
  const key = event.key.toLowerCase();
  if (key === "s") return async () => (await saving.now()) && toast(t("review.save.saved"), { forMs: 2000 });
  if (key === "f") return () => setFinding((before) => ({ open: true, asked: (before.asked ?? 0) + 1, wanted: selected() || before.wanted }));
  if (key === "enter" && (inText || !isTyping(event.target))) return () => player.toggle();
  if (key === "z" && steps) return () => step(event.shiftKey ? "redo" : "undo");
  if (key === "y" && steps) return () => step("redo");
  return undefined;
}

/** A word or two that are selected are looked for. */
function selected() {
  const text = getSelection().toString().trim();
  return text.length <= 80 && !text.includes("\n") ? text : "";
}

function plain(event, { player, view, transcript, original, follow, setDialog, setFinding }) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || !player || isTyping(target)) return undefined;
  const onControl = Boolean(target.closest?.("button, a, summary, input"));
  const here = original ? undefined : current(view, transcript); // none in an empty transcript
  const jump = (ms) => () => player.seek(player.ms + ms);
  const side = event.shiftKey ? SHORT_JUMP_MS : JUMP_MS;
  if (key === " " && !onControl) return () => player.toggle();
  if (key === "Enter" && !onControl && here) return () => view.edit(here.key);
  // Into the text from where nothing else is to be reached by this key.
  if (key === "Tab" && !event.shiftKey && here && (target === document.body || target === view.scroller)) {
    return () => view.edit(here.key);
  }
  if (["PageUp", "PageDown", "Home", "End"].includes(key)) view.moved(); // the browser scrolls by these
  const deeds = {
    k: () => player.toggle(),
    j: jump(-LONG_JUMP_MS),
    l: jump(LONG_JUMP_MS),
    ArrowLeft: jump(-side),
    ArrowRight: jump(side),
    ArrowUp: () => toSentence(view, player, -1),
    ArrowDown: () => toSentence(view, player, 1),
    "<": () => player.stepRate(-1),
    ">": () => player.stepRate(1),
    f: () => follow(!view.following),
    s: here && (() => setDialog({ kind: "speaker", sentence: here })),
    "?": () => setDialog({ kind: "keys" }),
    Escape: () => setFinding({ open: false }),
  };
  return deeds[key.length === 1 ? key.toLowerCase() : key];
}

const current = (view, transcript) => transcript.get(view.current) ?? transcript.sentences[0];

function toSentence(view, player, step) {
  const at = view.sentences.findIndex((sentence) => sentence.key === view.current);
  const sentence = view.sentences[Math.max(0, at + step)];
  if (sentence) view.seek(sentence.begin_ms);
}

/** [keys, what they do], in two groups. */
const LISTENING = [
  [["Space", "K"], "toggle"], [["←", "→"], "jump"], [["Shift", "←", "→"], "shortJump"], [["J", "L"], "longJump"],
  [["↑", "↓"], "sentences"], [["<", ">"], "rate"], [["F"], "follow"],
];
const WRITING = [
  [["Tab"], "into"], [["Esc"], "out"], [["Enter"], "split"], [["Backspace"], "merge"], [["Tab", "Shift+Tab"], "beside"],
  [["Ctrl+Enter"], "toggleTyping"], [["S"], "speaker"], [["Ctrl+Z", "Ctrl+Y"], "undo"], [["Ctrl+F"], "find"], [["Ctrl+S"], "save"], [["?"], "help"],
];

export function KeysDialog({ onClose }) {
  const mac = /Mac|iPhone|iPad/.test(navigator.platform);
  const shown = (key) => (mac ? key.replace("Ctrl", "⌘") : key);
  const list = (title, rows) => html`<section><h3>${t(title)}</h3><dl class="keys">${rows.map(([keys, what]) => html`<div>
    <dt>${keys.map((key) => html`<kbd>${shown(key)}</kbd> `)}</dt><dd>${t(`review.key.${what}`)}</dd></div>`)}</dl></section>`;
  const actions = html`<${Button} kind="primary" onClick=${onClose}>${t("action.close")}<//>`;
  return html`<${Dialog} wide title=${t("review.keys")} onClose=${onClose} actions=${actions}>
    <div class="key-lists">${list("review.listening", LISTENING)}${list("review.writing", WRITING)}</div>
  <//>`;
}
