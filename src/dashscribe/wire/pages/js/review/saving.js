// Saving by itself: a moment after an edit, again when the network failed, on top of what somebody else saved meanwhile.
// What is not saved also lies in the browser, so that neither a closed tab nor a crash loses it.

import { session, unfinished } from "../session.js";
import { recall, remember } from "../store.js";

const AFTER_MS = 1000;
/** What is typed is kept in the browser so often, and when the page goes. */
const KEEP_MS = 300;
const FIRST_RETRY_MS = 2000;
const LAST_RETRY_MS = 30_000;
/** Sentences in one request: a replacement in the whole of a long transcript goes in several. */
const AT_ONCE = 200;

/** By recording, those whose page was left before all was saved: they try on until it is, or the page is opened again. */
const leftBehind = new Map();

export class Saving {
  /**
   * `id` is the recording's, `send(body)` the PATCH and `load()` the GET of its transcript; both throw errors with a
   * `status`, 0 where no answer came. `held()` is the key of the sentence that is typed in. `told({state, error, lost})`
   * hears of every change: saved, waiting, saving, offline (it will be tried again), refused (it will not, until the
   * next edit); `lost` are all texts that found no place and were not read yet.
   */
  constructor(transcript, { id, send, load, held, told }) {
    Object.assign(this, { transcript, id, send, load, held, told });
    this.state = "saved";
    this.lost = [];
    this.retry_ms = FIRST_RETRY_MS;
    this.ending = new AbortController();
    const { signal } = this.ending;
    leftBehind.get(id)?.end();
    this.tookUp = this.takeUp();
    this.stop = transcript.onChange(() => this.changed());
    const listen = (target, name, listener) => target.addEventListener(name, listener, { signal });
    listen(window, "online", () => this.state === "offline" && this.now());
    listen(window, "beforeunload", (event) => this.hasUnsaved && event.preventDefault()); // the browser asks whether to leave
    // The last that is heard of a tab that is closed, or put away on a phone.
    listen(document, "visibilitychange", () => document.hidden && this.now());
    listen(window, "pagehide", () => {
      this.keep();
      this.now();
    });
    const finish = async () => (await this.now()) && !this.hasUnsaved;
    unfinished.add(finish);
    signal.addEventListener("abort", () => unfinished.delete(finish), { once: true });
  }

  get hasUnsaved() {
    return this.transcript.isDirty || this.lost.length > 0;
  }

  /** What an earlier visit could not save goes on top of what is saved. */
  takeUp() {
    const draft = recall(`draft.${this.id}`);
    if (!draft) return false;
    this.lost = [...(draft.lost ?? []), ...this.transcript.restore(draft)];
    this.keep();
    return this.hasUnsaved;
  }

  /** Keep in the browser what is not saved. */
  keep() {
    clearTimeout(this.keeping);
    this.keeping = undefined;
    if (this.ended || !session.get().key) return; // another one has it, or whoever signed out knew that it goes
    const draft = this.transcript.draft();
    const isEmpty = !draft.groups.length && !Object.keys(draft.speakers).length && !this.lost.length;
    remember(`draft.${this.id}`, isEmpty ? undefined : { ...draft, lost: this.lost });
  }

  changed() {
    this.keeping ??= setTimeout(() => this.keep(), KEEP_MS);
    this.soon(AFTER_MS);
  }

  /** Somebody has read what found no place. */
  read() {
    this.lost = [];
    this.keep();
    this.tell(this.state);
  }

  /** The page is left: what is not saved goes on being saved, and ends once it is. */
  async close() {
    this.stop();
    this.keep();
    this.closed = true;
    leftBehind.set(this.id, this);
    if (session.get().key) await this.now();
    else this.end();
    this.endWhenSaved();
  }

  end() {
    clearTimeout(this.timer);
    clearTimeout(this.keeping);
    this.ended = true;
    this.ending.abort();
    if (leftBehind.get(this.id) === this) leftBehind.delete(this.id);
  }

  endWhenSaved() {
    if (this.closed && (this.state === "saved" || this.state === "refused")) this.end();
  }

  tell(state, more = {}) {
    this.state = state;
    this.told({ state, lost: this.lost, ...more });
    this.endWhenSaved();
  }

  soon(ms) {
    if (this.busy) return;
    // While somebody types it is not asked again after each letter whether there is anything: the time tells.
    if (this.state !== "waiting") {
      if (!this.transcript.isDirty) {
        if (this.state !== "saved") this.tell("saved");
        return;
      }
      if (this.state !== "offline") this.tell("waiting");
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.now(), ms);
  }

  /** Save now: true once nothing is left to save. */
  async now() {
    clearTimeout(this.timer);
    this.busy ??= this.run().finally(() => {
      this.busy = undefined;
    });
    await this.busy;
    return !this.transcript.isDirty;
  }

  async run() {
    for (let before = ""; !this.ended; ) {
      const { groups, speakers } = this.transcript.changes(this.held());
      if (!groups.length && !Object.keys(speakers).length) return this.tell("saved");
      const sent = { groups: portion(groups), speakers };
      const texts = JSON.stringify([sent.groups, speakers]);
      // The server keeps something else than was sent: asking again would go on for ever.
      if (texts === before) return this.tell("refused", { error: new Error("the server changes what is saved") });
      before = texts;
      const replace = sent.groups.map(({ ids, place, with: said }) => ({ ids, ...place, with: said }));
      this.tell("saving");
      try {
        this.transcript.settle(sent, await this.send({ revision: this.transcript.revision, replace, speakers }));
        this.keep();
        this.retry_ms = FIRST_RETRY_MS;
      } catch (error) {
        if (error.status !== 409) return this.fail(error);
        if (!(await this.catchUp())) return undefined;
        before = "";
      }
    }
    return undefined;
  }

  /** Somebody else saved, or our own request did although no answer came. */
  async catchUp() {
    try {
      this.take(await this.load());
    } catch (error) {
      this.fail(error);
      return false;
    }
    this.told({ state: this.state, lost: this.lost, newer: !this.closed });
    return true;
  }

  /** Take what the server has, and what of ours still fits on top. */
  take(answer) {
    this.lost = [...this.lost, ...this.transcript.rebase(answer)];
    this.keep();
  }

  fail(error) {
    const passes = !error.status || error.status === 429 || error.status >= 500;
    if (error.status === 404) remember(`draft.${this.id}`, undefined); // the recording is deleted
    this.tell(passes ? "offline" : "refused", { error });
    if (!passes || this.ended) return;
    this.timer = setTimeout(() => this.now(), this.retry_ms);
    this.retry_ms = Math.min(LAST_RETRY_MS, this.retry_ms * 2);
  }
}

/** The first groups that fit in one request. */
function portion(groups) {
  let count = 0;
  const end = groups.findIndex(({ ids }) => (count += Math.max(1, ids.length)) > AT_ONCE);
  return end < 0 ? groups : groups.slice(0, Math.max(1, end));
}
