// One recording at work: sound, picture and text together, and everything that is done to the text.

import { get, patch } from "../api.js";
import { Page } from "../components/page.js";
import { toast } from "../components/toast.js";
import { clock, language, t } from "../i18n.js";
import { html, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "../lib.js";
import { useStore } from "../store.js";
import { AgainDialog } from "./again.js";
import { ExportDialog } from "./export.js";
import { FindBar } from "./find_bar.js";
import { find, partToFind, replaceAll } from "./find.js";
import { stretches } from "./items.js";
import { keyboard, KeysDialog } from "./keys.js";
import { Notes } from "./notes.js";
import { findSound, Player } from "./player.js";
import { PlayerBar } from "./player_bar.js";
import { leadOf, pathOf, titleOf, ToLibrary } from "./recording.js";
import { Saving } from "./saving.js";
import { SpeakerDialog } from "./speaker.js";
import { AboutOriginal, SaveTrouble, Toolbar, undo } from "./toolbar.js";
import { Transcript } from "./transcript.js";
import { TranscriptView } from "./view.js";
import { Waveform } from "./waveform.js";

/** One recording; `answer` is that of its transcript's route, `query` may name a text to find (q) and a place (t). */
export function Work({ recording, answer, query, reloadRecording, onRename }) {
  const [saved, setSaved] = useState({ state: "saved" });
  const [dialog, setDialog] = useState(null);
  const [unsure, setUnsure] = useState(0);
  const elements = useRef({});
  const { parts, draw } = useParts(recording, answer, elements, query, { setSaved, setDialog });
  const { transcript, view, player, saving, wave } = parts ?? {};
  const original = parts?.original();
  const finding = useFinding(parts, original, answer, query);
  if (parts) parts.finds = finding.open;
  const spoken = useStore(language);
  useEffect(() => {
    if (!view) return;
    view.unsure = unsure;
    view.redraw();
  }, [unsure, spoken, view]);
  const follow = (on) => {
    view.following = on;
    if (on) view.toCurrent();
    draw();
  };
  const latest = useRef(null);
  latest.current = { player, view, transcript, saving, original, follow, setDialog, setFinding: finding.set, step: (which) => undo(parts, which) };
  useLayoutEffect(() => keyboard(() => latest.current), []);
  const hasConfidence = useMemo(() => answer.sentences.some(({ words }) => words?.some((word) => word.confidence !== undefined)), [answer]);
  const into = (name) => (element) => { elements.current[name] = element; };
  const toList = () => elements.current.scroller.focus({ preventScroll: true });
  const actions = html`<${ToLibrary} /><${Toolbar} parts=${parts} saved=${saved} finding=${finding} setDialog=${setDialog} path=${pathOf(recording.id)} />`;
  const isEmpty = parts && !(original ?? transcript).sentences.length;
  return html`<${Page} wide title=${titleOf(recording)} lead=${leadOf(recording)} onRename=${onRename} actions=${actions}>
    <div class="work">
      <${Notes} recording=${recording} reload=${reloadRecording} onDone=${() => takeAnew(recording, saving)} />
      <${SaveTrouble} saved=${saved} onRetry=${() => saving.now()} onRead=${() => saving.read()} />
      <${AboutOriginal} parts=${parts} path=${pathOf(recording.id)} />
      <${PlayerBar} player=${player} wave=${wave} into=${into} duration=${durationOf(recording, answer)} unsure=${unsure} onUnsure=${setUnsure}
        hasConfidence=${hasConfidence} following=${view?.following ?? true} onFollow=${follow} />
      ${finding.open && html`<${FindBar} finding=${finding} canReplace=${!original} onClose=${() => { finding.set({ open: false }); toList(); }} />`}
      <div class="scroller" ref=${into("scroller")} tabindex="0" role="region" aria-label=${t("review.transcript")}>
        <div class="stage" ref=${into("stage")} role="list"></div>
        ${isEmpty && html`<p class="soft nothing">${t("review.nothing")}</p>`}
      </div>
      <p class="unseen" id="review-typing-hint">${t("review.typingHint")}</p>
    </div>
    ${dialog && html`<${OpenDialog} dialog=${dialog} parts=${parts} recording=${recording} onClose=${() => setDialog(null)} />`}
  <//>`;
}

/** The parts, made once and closed at the end: {parts, draw}. `parts` is null until the page's elements are there. */
function useParts(recording, answer, elements, query, told) {
  const [, draw] = useReducer((turn) => turn + 1, 0);
  const parts = useRef(null);
  useLayoutEffect(() => { // at once: whoever is quick finds no control without what it controls
    const opened = open(recording, answer, elements.current, { draw, ...told });
    parts.current = opened;
    document.documentElement.classList.add("at-work");
    if (query.t) opened.player.seek(Number(query.t));
    draw();
    return () => {
      document.documentElement.classList.remove("at-work");
      opened.close();
    };
  }, []);
  return { parts: parts.current, draw };
}

const NOT_FINDING = { open: false, wanted: "", by: "", matchCase: false, wholeWords: false, at: 0 };

/** What is looked for, {…, count, set(part), go(step), replace(all)}, and its marks in the text. */
function useFinding(parts, original, answer, { q, t: ms }) {
  const [finding, setFinding] = useState(() => {
    const part = q && partToFind(q, answer.sentences.map((one) => ({ ...one, key: one.id })), Number(ms));
    return part ? { ...NOT_FINDING, ...part, open: true } : NOT_FINDING;
  });
  const shown = original ?? parts?.transcript;
  const found = finding.open && shown ? find(shown.sentences, finding.wanted, finding) : [];
  const at = Math.min(finding.at, found.length - 1);
  const now = found[at];
  useEffect(() => parts?.view.mark(found, now), [parts, finding, shown?.sentences]);
  const set = (part) => setFinding((before) => ({ ...before, ...(typeof part === "function" ? part(before) : part) }));
  const go = (step) => set({ at: (at + step + found.length) % found.length });
  const replace = (all) => {
    if (original || !now) return;
    const { transcript } = parts;
    if (!all) {
      const { text } = transcript.get(now.key);
      transcript.setTexts(new Map([[now.key, text.slice(0, now.from) + finding.by + text.slice(now.to)]]));
      set({ at: firstBehind(find(transcript.sentences, finding.wanted, finding), found.slice(0, at), now, finding.by) });
      return;
    }
    const texts = replaceAll(transcript.sentences, finding.wanted, finding.by, finding);
    if (!texts.size) return;
    transcript.setTexts(texts);
    tellReplaced(parts, found.length);
  };
  return { ...finding, at, count: found.length, set, go, replace };
}

/** Which place comes behind a replacement: the new text may hold the old one. Behind the last it is the first again. */
function firstBehind(left, before, { key, from }, by) {
  const inOthers = before.filter((one) => one.key !== key).length;
  const inThis = left.filter((one) => one.key === key && one.from < from + by.length).length;
  return (inOthers + inThis) % Math.max(1, left.length);
}

/** Say how many were replaced, and offer to undo that: as long as it is the last step and its page is open. */
function tellReplaced(parts, count) {
  const { transcript } = parts;
  const step = transcript.done.at(-1);
  const hide = toast(t("review.replaced", { count }), { action: { label: t("review.undo"), run: () => undo(parts, "undo") } });
  const stop = transcript.onChange(() => transcript.done.at(-1) !== step && parts.dismiss());
  parts.dismiss = () => {
    stop();
    hide();
  };
}

/** A stage has ended: the text may be another. What is not saved goes on top of it. */
async function takeAnew(recording, saving) {
  saving.take(await get(`${pathOf(recording.id)}/transcript`));
}

function OpenDialog({ dialog, parts: { transcript, saving }, recording, onClose }) {
  switch (dialog.kind) {
    case "keys": return html`<${KeysDialog} onClose=${onClose} />`;
    case "again": return html`<${AgainDialog} recording=${recording} compare=${true} onClose=${onClose} />`;
    case "speaker": return html`<${SpeakerDialog} transcript=${transcript} sentence=${dialog.sentence} onClose=${onClose} />`;
    default: return html`<${ExportDialog} recording=${recording} edited=${transcript.edited || transcript.isDirty}
      before=${() => saving.now()} onClose=${onClose} />`;
  }
}

const durationOf = (recording, answer) => recording.duration_ms ?? answer.duration_ms ?? recording.media?.duration_ms ?? 0;

/** Put the parts together; they live as long as the page. */
function open(recording, answer, elements, { draw, setSaved, setDialog }) {
  const { time, overview, inks } = elements; // by name: the frame lets go of its elements before it lets go of us
  const path = `${pathOf(recording.id)}/transcript`;
  const transcript = new Transcript(answer);
  const parts = { finds: false, dismiss: () => undefined };
  let heard = "";
  const player = new Player({
    find: (signal) => findSound(pathOf(recording.id), signal, () => { player.trouble = "made"; player.told(); }),
    told: () => {
      const now = [player.isPlaying, player.rate, player.trouble].join();
      if (now !== heard) draw(); // some of its news, such as that it waits for more, is not shown
      heard = now;
    },
    tick: (ms) => {
      wave.at(ms);
      view.at(ms);
      const told = clock(ms);
      if (time.firstChild.data === told) return; // most frames: they change nothing but where the line stands
      time.firstChild.data = told; // the text that the frame drew, which it goes on to know
      overview.setAttribute("aria-valuenow", Math.floor(ms / 1000));
      overview.setAttribute("aria-valuetext", told);
    },
  });
  const view = new TranscriptView(elements, {
    seek: (ms) => player.seek(ms),
    speaker: (key) => setDialog({ kind: "speaker", sentence: transcript.get(key) }),
    typed: (key, text) => transcript.setText(key, text, { typing: true }),
    split: (key, offset) => {
      const second = transcript.split(key, offset);
      if (second !== undefined) view.edit(second, 0);
    },
    merge: (key) => {
      const seam = transcript.merge(key);
      if (seam) view.edit(seam.key, seam.offset);
    },
    emptied: (key) => transcript.remove(key),
    left: () => saving.soon(0),
    moved: draw,
  });
  const wave = new Waveform({ ...elements, palette: () => paletteOf(inks) }, (ms) => view.seek(ms));
  const saving = new Saving(transcript, {
    id: recording.id,
    send: (body) => patch(path, body, { outlives: true }),
    load: () => get(path),
    held: () => view.field?.key,
    told: ({ newer, ...state }) => {
      setSaved(state);
      if (newer) toast(t("review.newer"));
    },
  });
  if (saving.tookUp) {
    toast(t("review.tookUp"));
    saving.tell("saved");
    saving.soon(0);
  }
  const notes = stretches(transcript.ledger, transcript.channels);
  wave.set({ duration_ms: durationOf(recording, answer), ...notes });
  let original = null;
  let shown = "";
  view.languages = answer.languages;
  const show = () => {
    const { sentences, names } = original ?? transcript;
    view.show({ sentences, names, notes, readOnly: Boolean(original), several: transcript.channels.length > 1 });
    wave.soon({ sentences });
    // Of what the frame shows, a letter that is typed changes nothing, unless something is looked for.
    const { done, undone, edited, newerOriginal } = transcript;
    const now = [done.length > 0, undone.length > 0, edited, newerOriginal, sentences.length > 0, Boolean(original)].join();
    if (now !== shown || parts.finds) draw();
    shown = now;
  };
  const stop = transcript.onChange(show);
  const showOriginal = (one) => {
    original = one;
    show();
  };
  show();
  get(`${pathOf(recording.id)}/peaks`).then((peaks) => wave.set({ peaks }), () => undefined); // a line without
  const close = () => {
    stop();
    parts.dismiss();
    view.leave({ silent: true });
    saving.close();
    for (const part of [player, view, wave]) part.close();
  };
  Object.assign(parts, { transcript, player, view, wave, saving, original: () => original, showOriginal, close });
  return parts;
}

/** The colors of the picture, as the style sheet gives them to samples. */
function paletteOf(inks) {
  const colors = [...inks.children].map((sample) => getComputedStyle(sample).color);
  const [wave, pause, failure, ...speakers] = colors;
  return { wave, pause, failure, speakers };
}
