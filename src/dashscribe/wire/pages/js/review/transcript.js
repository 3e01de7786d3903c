// The transcript as it is edited: sentences in order of time, edits that can be undone, what is not saved yet.
//
// Sentences never change: an edit puts new ones in their place. Each knows the saved sentences that it came from
// (`from`), so that saving finds the smallest groups to send whatever was done and undone in between.

import { halves, joined, reworded } from "./words.js";

/** Typing goes into one step of undo until the typist rests for so long. */
const REST_MS = 1500;

/** A text as the server keeps it: each run of spaces and control characters is one space. */
const tidy = (text) => text.replace(/[\s\x00-\x1f\x7f-\x9f]+/g, " ").trim();
const sameText = (a, b) => a.text === b.text || tidy(a.text) === tidy(b.text);
/** A sentence as a group has it. */
const plain = ({ text, speaker }) => (speaker === undefined ? { text } : { text, speaker });
const covers = (a, b) => a.begin_ms <= b.begin_ms && b.end_ms <= a.end_ms;
const sameSpeaker = (a, b) => (a.speaker ?? null) === (b.speaker ?? null);

export class Transcript {
  /** `answer` is that of `GET …/transcript`. */
  constructor(answer) {
    this.listeners = new Set();
    this.lastKey = 0;
    this.load(answer);
  }

  /** Take what the server has; what was not saved and the steps of undo are gone. Sentences keep the keys of `keys`. */
  load(answer, keys = new Map()) {
    this.revision = answer.revision;
    this.edited = Boolean(answer.edited);
    this.newerOriginal = Boolean(answer.newer_original); // a stage was done again after the first edit
    this.channels = answer.channels || [0];
    this.ledger = answer.ledger || [];
    this.names = { ...(answer.speakers || {}) };
    this.savedNames = { ...this.names };
    this.saved = new Map(); // id -> {text, speaker, channel}
    this.order = new Map(this.channels.map((channel) => [channel, []])); // channel -> ids in order
    this.became = new Map(); // id -> the ids that took its place
    this.sentences = answer.sentences.map((sentence) => this.adopt(sentence, keys.get(sentence.id)));
    this.sort();
    this.answer = answer;
    this.undone = [];
    this.done = [];
    this.tell();
  }

  /** A saved sentence as ours, under a key of its own unless it takes the place of one. */
  adopt(sentence, key = this.newKey()) {
    this.saved.set(sentence.id, { text: sentence.text, speaker: sentence.speaker, channel: sentence.channel });
    if (!this.order.has(sentence.channel)) this.order.set(sentence.channel, []);
    this.order.get(sentence.channel).push(sentence.id);
    return { ...sentence, key, from: [sentence.id] };
  }

  newKey() {
    this.lastKey += 1;
    return this.lastKey;
  }

  sort() {
    this.sentences.sort((a, b) => a.begin_ms - b.begin_ms); // stable: pieces of one sentence keep their order
    this.byKey = new Map(this.sentences.map((sentence) => [sentence.key, sentence]));
  }

  /** Call `listener` after every change; returns what ends that. */
  onChange(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  tell() {
    this.unsaved = undefined; // every change ends here
    for (const listener of this.listeners) listener();
  }

  get(key) {
    return this.byKey.get(key);
  }

  /** The sentence before or behind (`step` -1 or 1) in the same channel. */
  neighbor(key, step) {
    const { channel } = this.get(key);
    const list = this.sentences.filter((sentence) => sentence.channel === channel);
    return list[list.findIndex((sentence) => sentence.key === key) + step];
  }

  // Edits. Each is one step of undo.

  /** Another text for a sentence; `typing` joins the step before if that was typing in the same sentence just now. */
  setText(key, text, { typing = false } = {}) {
    const sentence = this.get(key);
    if (!sentence || sentence.text === text) return;
    const now = Date.now();
    const last = this.done.at(-1);
    const joins = typing && last && last.typing === key && now - last.at < REST_MS && !this.undone.length;
    const step = { removed: [sentence], added: [reworded(sentence, text)], typing: typing ? key : undefined, at: now };
    if (joins) {
      this.put(step);
      last.added = step.added;
      last.at = now;
      this.tell();
    } else this.take(step);
  }

  /** Other texts for several sentences at once: Map of key to text. */
  setTexts(texts) {
    const removed = [...texts.keys()].map((key) => this.get(key));
    const emptied = (sentence) => !texts.get(sentence.key).trim();
    const added = removed.filter((sentence) => !emptied(sentence)).map((s) => reworded(s, texts.get(s.key)));
    if (removed.length) this.take({ removed, added });
  }

  setSpeaker(key, speaker) {
    const sentence = this.get(key);
    if (sentence && sentence.speaker !== speaker) this.take({ removed: [sentence], added: [{ ...sentence, speaker, edited: true }] });
  }

  /** Cut a sentence at an offset of its text: the key of the second half, or undefined at an edge, where nothing happens. */
  split(key, offset) {
    const sentence = this.get(key);
    const [first, second] = halves(sentence, offset);
    if (!first.text || !second.text) return undefined;
    second.key = this.newKey();
    this.take({ removed: [sentence], added: [first, second] });
    return second.key;
  }

  /** Join a sentence to the one before it in its channel: {key, offset} of the seam; undefined if it is the first. */
  merge(key) {
    const before = this.neighbor(key, -1);
    if (!before) return undefined;
    const sentence = this.get(key);
    const whole = joined(before, sentence);
    whole.from = [...new Set([...before.from, ...sentence.from])];
    this.take({ removed: [before, sentence], added: [whole] });
    return { key: before.key, offset: whole.text.length - sentence.text.length };
  }

  remove(key) {
    const sentence = this.get(key);
    if (sentence) this.take({ removed: [sentence], added: [] });
  }

  /** Name a speaker everywhere; an empty name takes the name away. */
  rename(speaker, name) {
    const before = this.names[speaker] || "";
    if (before !== name) this.take({ removed: [], added: [], names: { [speaker]: [before, name] } });
  }

  /** A number that no speaker has. */
  freeSpeaker() {
    const used = new Set([...Object.keys(this.names).map(Number), ...this.sentences.map((s) => s.speaker ?? -1)]);
    let number = 0;
    while (used.has(number)) number += 1;
    return number;
  }

  /** The numbers of all speakers, in order. */
  speakers() {
    const used = new Set([...Object.keys(this.names).map(Number), ...this.sentences.map((s) => s.speaker ?? -1)]);
    return [...used].filter((number) => number >= 0).sort((a, b) => a - b);
  }

  take(step) {
    this.put(step);
    this.done.push(step);
    this.undone = [];
    this.tell();
  }

  /** Put the sentences of a step in place. */
  put({ removed, added, names = {} }, forward = true) {
    for (const [speaker, [before, after]] of Object.entries(names)) {
      const name = forward ? after : before;
      if (name) this.names[speaker] = name;
      else delete this.names[speaker];
    }
    const [old, fresh] = forward ? [removed, added] : [added, removed];
    if (!old.length && !fresh.length) return;
    const [only] = fresh;
    if (old.length === 1 && fresh.length === 1 && old[0].key === only.key && old[0].begin_ms === only.begin_ms) { // as typing does
      this.sentences = this.sentences.with(this.sentences.findIndex(({ key }) => key === only.key), only);
      this.byKey.set(only.key, only);
      return;
    }
    const gone = new Set(old.map((sentence) => sentence.key));
    const first = this.sentences.findIndex((sentence) => gone.has(sentence.key));
    const kept = this.sentences.filter((sentence) => !gone.has(sentence.key));
    kept.splice(first < 0 ? kept.length : first, 0, ...fresh);
    this.sentences = kept;
    this.sort();
  }

  /** Undo the last step: the keys it touched, or undefined if there is none. */
  undo() {
    const step = this.done.pop();
    if (!step) return undefined;
    this.put(step, false);
    this.undone.push(step);
    this.tell();
    return step.removed.map((sentence) => sentence.key);
  }

  redo() {
    const step = this.undone.pop();
    if (!step) return undefined;
    this.put(step);
    this.done.push({ ...step, typing: undefined });
    this.tell();
    return step.added.map((sentence) => sentence.key);
  }

  // Saving.

  /** The saved sentences that the given ones have become. */
  current(ids) {
    const now = new Set();
    for (const id of ids) {
      if (this.saved.has(id)) now.add(id);
      else for (const next of this.current(this.became.get(id) || [])) now.add(next);
    }
    return [...now];
  }

  /**
   * What differs from what is saved: {groups: [{ids, place, with: [{text, speaker}], keys}], speakers}.
   *
   * A group is a run of saved sentences and the run that takes its place, as short as possible; a sentence for a channel
   * that has none saved has no ids but a `place`, {channel, begin_ms, end_ms}. `held` is the key of a
   * sentence that is being typed: as long as it is empty it is not sent, since that would remove it.
   */
  changes(held) {
    this.unsaved ??= this.compared(); // asked for several times after each letter that is typed
    const { groups, speakers } = this.unsaved;
    const isHeld = (group) => group.keys.includes(held) && !this.get(held).text.trim();
    return { groups: groups.filter((group) => !isHeld(group)), speakers };
  }

  compared() {
    const groups = [];
    for (const [channel, order] of this.order) groups.push(...this.channelChanges(channel, order));
    const speakers = {};
    for (const speaker of new Set([...Object.keys(this.names), ...Object.keys(this.savedNames)])) {
      const name = this.names[speaker] || "";
      if (name !== (this.savedNames[speaker] || "")) speakers[speaker] = name;
    }
    return { groups, speakers };
  }

  channelChanges(channel, order) {
    const place = new Map(order.map((id, index) => [id, index]));
    const runs = [];
    for (const sentence of this.sentences) {
      if (sentence.channel !== channel) continue;
      const same = sentence.from.length === 1 ? place.get(sentence.from[0]) : undefined; // nearly all are what they were
      const at = same !== undefined ? [same] : this.current(sentence.from).map((id) => place.get(id)).sort((a, b) => a - b);
      let run = { first: at[0], last: at.at(-1), sentences: [sentence] };
      // Without a saved sentence of its own (one that was removed, saved and brought back) it goes with its neighbor.
      if (!at.length) run = { first: Infinity, last: -Infinity, sentences: [sentence] };
      while (runs.length && (runs.at(-1).last >= run.first || !at.length)) {
        const before = runs.pop();
        run = {
          first: Math.min(before.first, run.first),
          last: Math.max(before.last, run.last),
          sentences: [...before.sentences, ...run.sentences],
        };
        if (!at.length) break;
      }
      runs.push(run);
    }
    while (runs.length > 1 && runs[0].first === Infinity) {
      const [head, next, ...rest] = runs;
      runs.splice(0, runs.length, { ...next, sentences: [...head.sentences, ...next.sentences] }, ...rest);
    }
    if (runs[0]?.first === Infinity) {
      if (!order.length) return this.insertions(channel, runs[0].sentences);
      Object.assign(runs[0], { first: 0, last: order.length - 1 }); // all that is saved was removed
    }
    return this.asGroups(runs, order);
  }

  /** Sentences for a channel that has none saved: each at the time that it has here. */
  insertions(channel, sentences) {
    let at = 0;
    return sentences.filter(({ text }) => tidy(text)).map((sentence) => {
      const begin_ms = Math.max(at, Math.round(sentence.begin_ms));
      at = Math.max(begin_ms + 1, Math.round(sentence.end_ms));
      return { ids: [], place: { channel, begin_ms, end_ms: at }, with: [plain(sentence)], keys: [sentence.key] };
    });
  }

  asGroups(runs, order) {
    const groups = [];
    let at = 0;
    const removed = (upTo) => {
      for (; at < upTo; at += 1) groups.push({ ids: [order[at]], with: [{ text: "" }], keys: [] });
    };
    for (const { first, last, sentences } of runs) {
      removed(first);
      const ids = order.slice(first, last + 1);
      at = last + 1;
      const [only] = sentences;
      const saved = this.saved.get(ids[0]);
      if (ids.length === 1 && sentences.length === 1 && sameText(saved, only) && sameSpeaker(saved, only)) continue;
      groups.push({ ids, with: sentences.map(plain), keys: sentences.map((sentence) => sentence.key) });
    }
    removed(order.length);
    return groups;
  }

  /** Whether anything is not saved. */
  get isDirty() {
    const { groups, speakers } = this.changes();
    return groups.length > 0 || Object.keys(speakers).length > 0;
  }

  /** Take the server's answer to groups that were sent: its ids, words and times, where nothing was changed meanwhile. */
  settle(sent, answer) {
    this.revision = answer.revision;
    this.edited = true;
    Object.assign(this.savedNames, sent.speakers);
    answer.replaced.forEach(({ ids, with: fresh }, index) => this.settleGroup(sent.groups[index], ids, fresh));
    this.sort();
    this.tell();
  }

  settleGroup(group, ids, fresh) {
    const { channel } = group.place ?? this.saved.get(ids[0]);
    const order = this.order.get(channel);
    order.splice(ids.length ? order.indexOf(ids[0]) : order.length, ids.length, ...fresh.map((sentence) => sentence.id));
    for (const id of ids) {
      this.saved.delete(id);
      this.became.set(id, fresh.map((sentence) => sentence.id));
    }
    fresh.forEach((sentence, index) => {
      this.became.delete(sentence.id);
      this.saved.set(sentence.id, { text: sentence.text, speaker: sentence.speaker, channel });
      const mine = this.byKey.get(group.keys[index]);
      if (!mine) return;
      // What undo brings back of one that was removed and is there again is that one.
      for (const id of mine.from) if (!this.current([id]).length) this.became.set(id, [sentence.id]);
      const asSent = mine.text === group.with[index].text && mine.speaker === group.with[index].speaker;
      const settled = asSent ? { ...sentence, text: mine.text, key: mine.key } : { ...mine };
      // One that undo has brought back meanwhile stands for all that it became, not for the first of those alone.
      const isMine = (one, at) => one === sentence || (!asSent && !this.byKey.get(group.keys[at]) && covers(mine, one));
      settled.from = fresh.filter(isMine).map(({ id }) => id);
      this.sentences[this.sentences.indexOf(mine)] = settled;
    });
  }

  /** What is not saved, as plain data: {groups: [{ids, place, was, with}], speakers}; `was` is what each id stood for. */
  draft() {
    const { groups, speakers } = this.changes();
    return { groups: groups.map(({ ids, place, with: said }) => ({ ids, place, was: ids.map((id) => this.saved.get(id)), with: said })), speakers };
  }

  /** Take what somebody else saved meanwhile and put our unsaved changes on top; gives what restore() gives. */
  rebase(answer) {
    const { groups, speakers } = this.draft();
    // Under the keys that they have, so that who types goes on typing.
    this.changes().groups.forEach(({ keys }, at) => { groups[at].keys = keys; });
    const keys = new Map();
    for (const { key, from } of this.sentences) {
      const [first] = this.current(from);
      if (first !== undefined && !keys.has(first)) keys.set(first, key);
    }
    this.load(answer, keys);
    return this.restore({ groups, speakers });
  }

  /**
   * Put a draft on top of what is saved, where the sentences are as they were. Gives the texts that found no place; one
   * that stands there already, since our own request did arrive, needs none.
   */
  restore({ groups, speakers }) {
    const lost = [];
    for (const group of groups) {
      const same = (id, at) => this.saved.get(id)?.text === group.was[at].text && sameSpeaker(this.saved.get(id), group.was[at]);
      if (group.place && !this.isSaved(group)) lost.push(...this.reinsert(group));
      else if (!group.place && group.ids.every(same)) this.reapply(group);
      else if (!this.isSaved(group)) lost.push(...group.with.map(({ text }) => text).filter(Boolean));
    }
    for (const [speaker, name] of Object.entries(speakers)) this.rename(speaker, name);
    return lost;
  }

  /** Whether the texts of a group stand one after another among what is saved. */
  isSaved({ was, place, with: said }) {
    const wanted = said.filter(({ text }) => text.trim());
    const saved = (this.order.get((place ?? was[0]).channel) ?? []).map((id) => this.saved.get(id));
    return wanted.length > 0 && saved.some((_, at) => wanted.every((wish, step) => {
      const one = saved[at + step];
      return one && sameText(one, wish) && sameSpeaker(one, wish);
    }));
  }

  /** Put a sentence back for which there was none: the texts that found no place, where there is no such channel. */
  reinsert({ place, with: [said], keys = [this.newKey()] }) {
    if (!this.order.has(place.channel)) return [said.text];
    const words = [{ begin_ms: place.begin_ms, end_ms: place.end_ms, text: said.text, approximate: true }];
    this.take({ removed: [], added: [{ ...place, ...said, words, from: [], key: keys[0], edited: true }] });
    return [];
  }

  reapply(group) {
    const old = this.sentences.filter((sentence) => group.ids.includes(sentence.from[0]));
    const texts = group.with.filter(({ text }) => text);
    if (!texts.length && group.keys?.length) {
      // Emptied by somebody who is typing in it: it is removed when they leave it so.
      return this.take({ removed: old, added: [{ ...old[0], text: "", words: [], key: group.keys[0], edited: true }] });
    }
    if (!texts.length) return this.take({ removed: old, added: [] });
    const keys = group.keys?.length === texts.length ? group.keys : [old[0].key];
    const whole = old.slice(1).reduce((left, right) => ({ ...joined(left, right), from: [...left.from, ...right.from] }), old[0]);
    const span_ms = whole.end_ms - whole.begin_ms;
    const total = texts.reduce((sum, { text }) => sum + text.length, 0);
    let at = 0;
    const added = texts.map((wish, index) => {
      const begin_ms = Math.round(whole.begin_ms + (span_ms * at) / total);
      at += wish.text.length;
      const piece = { ...whole, ...wish, begin_ms, end_ms: Math.round(whole.begin_ms + (span_ms * at) / total) };
      if (texts.length > 1) piece.words = [{ begin_ms: piece.begin_ms, end_ms: piece.end_ms, text: wish.text, approximate: true }];
      const text = texts.length > 1 ? piece : { ...reworded(whole, wish.text), speaker: wish.speaker };
      return { ...text, key: keys[index] ?? this.newKey(), edited: true };
    });
    return this.take({ removed: old, added });
  }
}
