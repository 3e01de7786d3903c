// The sound: an <audio> of its own, told in milliseconds, whose address is asked for again when it has expired.

import { address, get, rest } from "../api.js";

export const RATES = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];

export class Player {
  /**
   * `find()` gives the address of the sound, again when the one before has expired; it throws an error with `status`
   * 404 where there is none. `told()` hears when playing, rate or trouble change; `tick(ms)` of
   * the place: with every frame while it plays, and once after every jump.
   */
  constructor({ find, told, tick }) {
    Object.assign(this, { find, told, tick });
    this.audio = new Audio();
    this.audio.preload = "metadata";
    this.audio.preservesPitch = true;
    this.trouble = undefined;
    this.renewed = false;
    const stop = (this.ending = new AbortController());
    const on = (name, listener) => this.audio.addEventListener(name, listener, { signal: stop.signal });
    for (const name of ["play", "pause", "ended", "ratechange", "waiting", "playing", "loadedmetadata"]) on(name, () => this.told());
    on("play", () => this.frames());
    on("seeked", () => this.tick(this.ms));
    on("playing", () => {
      this.renewed = false;
      this.trouble = undefined;
    });
    on("error", () => this.recover());
    this.load();
  }

  async load() {
    try {
      const found = await this.find(this.ending.signal);
      if (this.ending.signal.aborted) return;
      const { currentTime, paused } = this.audio; // somebody may have chosen a place already, or pressed play
      this.audio.src = found;
      this.audio.currentTime = currentTime;
      if (!paused) this.play(); // a new address may end what was just begun
      this.trouble = undefined;
    } catch (error) {
      this.trouble = error.status === 404 ? "none" : "failed";
    }
    if (!this.ending.signal.aborted) this.told();
  }

  close() {
    this.ending.abort();
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  get ms() {
    return Math.round(this.audio.currentTime * 1000);
  }

  get isPlaying() {
    return !this.audio.paused && !this.audio.ended;
  }

  get rate() {
    return this.audio.playbackRate;
  }

  set rate(rate) {
    this.audio.playbackRate = Math.min(RATES.at(-1), Math.max(RATES[0], rate));
    this.audio.defaultPlaybackRate = this.audio.playbackRate; // a new address starts with this one
  }

  /** One step faster or slower. */
  stepRate(step) {
    const at = RATES.findIndex((rate) => rate >= this.rate - 0.01);
    this.rate = RATES[Math.min(RATES.length - 1, Math.max(0, at + step))];
  }

  toggle() {
    if (this.isPlaying) this.audio.pause();
    else this.play();
  }

  play() {
    // Refused plays end in "error", which is handled there; an abort means somebody paused first.
    this.audio.play().catch(() => undefined);
  }

  pause() {
    this.audio.pause();
  }

  seek(ms) {
    const end_s = Number.isFinite(this.audio.duration) ? this.audio.duration : Infinity;
    this.audio.currentTime = Math.min(Math.max(0, ms / 1000), end_s);
    this.tick(Math.max(0, ms));
  }

  frames() {
    const frame = () => {
      if (this.ending.signal.aborted || !this.isPlaying) return;
      this.tick(this.ms);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** An address has an end: ask for another once, and go on from the same place. */
  async recover() {
    if (this.renewed) {
      this.trouble = "failed";
      this.told();
      return;
    }
    this.renewed = true;
    await this.load();
  }
}

/**
 * The address of a recording's sound. For one that browsers do not play the server first makes a copy: until that is
 * there this waits, and `waits()` hears of it.
 */
export async function findSound(path, signal, waits = () => undefined) {
  for (;;) {
    const sound = await get(`${path}/sound`, {}, { signal });
    if (sound.ready) return address(sound.url).href;
    if (sound.message) throw new Error(sound.message);
    waits();
    await rest(1000 * (sound.retry_after_s ?? 2), signal);
  }
}
