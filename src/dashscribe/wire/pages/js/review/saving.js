// Saving by itself: a moment after an edit, again when the network failed, on top of what somebody else saved meanwhile.

const AFTER_MS = 1000;
const FIRST_RETRY_MS = 2000;
const LAST_RETRY_MS = 30_000;
/** Sentences in one request: a replacement in the whole of a long transcript goes in several. */
const AT_ONCE = 200;

export class Saving {
  /**
   * `send(body)` is the PATCH and `load()` the GET of the transcript; both throw errors with a `status`, 0 where no
   * answer came. `held()` is the key of the sentence that is typed in. `told({state, error, lost})` hears of every
   * change: saved, waiting, saving, offline (it will be tried again), refused (it will not, until the next edit).
   */
  constructor(transcript, { send, load, held, told }) {
    Object.assign(this, { transcript, send, load, held, told });
    this.state = "saved";
    this.retry_ms = FIRST_RETRY_MS;
    this.stop = transcript.onChange(() => this.soon(AFTER_MS));
    this.ending = new AbortController();
    const { signal } = this.ending;
    window.addEventListener("online", () => this.state === "offline" && this.now(), { signal });
    const warn = (event) => this.transcript.isDirty && event.preventDefault(); // the browser asks whether to leave
    window.addEventListener("beforeunload", warn, { signal });
  }

  /** The page is left: what is not saved goes on being saved, and ends once it is. */
  async close() {
    this.stop();
    this.closed = true;
    await this.now();
    this.endWhenSaved();
  }

  endWhenSaved() {
    if (this.closed && (this.state === "saved" || this.state === "refused")) this.ending.abort();
  }

  tell(state, more = {}) {
    this.state = state;
    this.told({ state, ...more });
    this.endWhenSaved();
  }

  soon(ms) {
    if (this.busy) return;
    if (!this.transcript.isDirty) {
      if (this.state !== "saved") this.tell("saved");
      return;
    }
    if (this.state === "saved" || this.state === "refused") this.tell("waiting");
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
    for (let before = ""; ; ) {
      const { groups, speakers } = this.transcript.changes(this.held());
      if (!groups.length && !Object.keys(speakers).length) return this.tell("saved");
      const sent = { groups: portion(groups), speakers };
      const texts = JSON.stringify([sent.groups, speakers]);
      // The server keeps something else than was sent: asking again would go on for ever.
      if (texts === before) return this.tell("refused", { error: new Error("the server changes what is saved") });
      before = texts;
      const replace = sent.groups.map(({ ids, with: said }) => ({ ids, with: said }));
      this.tell("saving");
      try {
        this.transcript.settle(sent, await this.send({ revision: this.transcript.revision, replace, speakers }));
        this.retry_ms = FIRST_RETRY_MS;
      } catch (error) {
        if (error.status !== 409) return this.fail(error);
        if (!(await this.catchUp())) return undefined;
      }
    }
  }

  /** Somebody else saved: take theirs, and what of ours still fits on top. */
  async catchUp() {
    try {
      const lost = this.transcript.rebase(await this.load());
      this.told({ state: "saving", lost, newer: true });
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  fail(error) {
    const passes = !error.status || error.status === 429 || error.status >= 500;
    this.tell(passes ? "offline" : "refused", { error });
    if (!passes) return;
    this.timer = setTimeout(() => this.now(), this.retry_ms);
    this.retry_ms = Math.min(LAST_RETRY_MS, this.retry_ms * 2);
  }
}

/** The first groups that fit in one request. */
function portion(groups) {
  let count = 0;
  const end = groups.findIndex(({ ids }) => (count += ids.length) > AT_ONCE);
  return end < 0 ? groups : groups.slice(0, Math.max(1, end));
}
