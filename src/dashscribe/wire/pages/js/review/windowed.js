// A long list of which only what is on the screen, and a little around it, is in the page.
//
// Rows lie at places of their own, so that one that is being typed in can stay while the list scrolls away from it.
// Heights are guessed until a row has been drawn once; what is looked at never moves when a guess above it was wrong.

import { lastAtMost } from "./words.js";

/** How far above and below the view rows are drawn ahead: about what one turn of a wheel moves. */
const AHEAD_PX = 500;
/** So many of those are drawn in a frame, so that a frame is not longer for what nobody sees yet. */
const AHEAD_ROWS = 4;
/** So many rows in all: after a leap the view fills from its top within a few frames, none of which is long. */
const ROWS_A_FRAME = 8;

export class WindowedList {
  /**
   * `scroller` scrolls and `stage`, inside it, carries the rows. `draw(item, index)` makes a row's element; `guess(item,
   * width)` its height in px; `removed(key)` is told of rows that leave the page. Items have a `key`; an item that is
   * not the same object any more is drawn anew, in its place.
   */
  constructor(scroller, stage, { draw, guess, removed = () => undefined }) {
    Object.assign(this, { scroller, stage, draw, guess, removed });
    this.items = [];
    this.heights = new Map(); // key -> measured px
    this.guesses = new WeakMap(); // item -> px
    this.rows = new Map(); // key -> {element, item, top}
    this.pinned = undefined; // the key of a row that stays
    this.drawn = 0; // rows since the last frame
    this.width = scroller.clientWidth;
    this.sizes = new ResizeObserver((entries) => this.measure(entries));
    this.sizes.observe(scroller);
    this.top = scroller.scrollTop; // both as last told: asking the page between changes would have it laid out each time
    this.view = scroller.clientHeight;
    this.onScroll = () => {
      this.top = scroller.scrollTop;
      this.show();
    };
    scroller.addEventListener("scroll", this.onScroll, { passive: true });
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
    this.scroller.removeEventListener("scroll", this.onScroll);
    this.stage.replaceChildren();
  }

  setItems(items) {
    const isSame = items.length === this.items.length && items.every((item, index) => item.key === this.items[index].key);
    if (isSame && this.tops) { // as with every letter that is typed: heights follow when the row is laid out
      this.items = items;
      this.show();
      return;
    }
    const anchor = this.anchor();
    this.items = items;
    this.index = new Map(items.map((item, index) => [item.key, index]));
    this.layOutAll();
    this.hold(anchor);
    this.show();
  }

  /** Draw every row anew: something that all of them show has changed. */
  redraw() {
    for (const row of this.rows.values()) row.item = undefined;
    this.show();
  }

  element(key) {
    return this.rows.get(key)?.element;
  }

  /** Whether a row is inside the view, by at least a bit at its top. */
  isInView(key) {
    const index = this.index.get(key);
    if (index === undefined) return false;
    const top = this.tops[index] - this.top;
    return top >= 0 && top + Math.min(this.lengths[index], 48) <= this.view;
  }

  /** Scroll so that a row begins at a share of the view's height. Softly only over what is drawn already. */
  scrollTo(key, { at = 0.25, soft = false } = {}) {
    const index = this.index.get(key);
    if (index === undefined) return;
    const most = Math.max(0, this.tops.at(-1) - this.view);
    const wanted = Math.min(most, Math.max(0, this.tops[index] - this.view * at));
    const isSoft = soft && Math.abs(wanted - this.top) < this.view;
    this.scroller.scrollTo({ top: wanted, behavior: isSoft ? "smooth" : "instant" });
    if (isSoft) return; // rows come as it moves
    this.top = wanted;
    this.show();
  }

  // What follows is the list's own.

  heightOf(item) {
    const known = this.heights.get(item.key);
    if (known !== undefined) return known;
    if (!this.guesses.has(item)) this.guesses.set(item, this.guess(item, this.width));
    return this.guesses.get(item);
  }

  layOutAll() {
    this.lengths = Float64Array.from(this.items, (item) => this.heightOf(item));
    this.tops = new Float64Array(this.items.length + 1);
    this.layOut(0);
  }

  /** Where rows begin, from one of them on. */
  layOut(from) {
    for (let index = from; index < this.items.length; index += 1) this.tops[index + 1] = this.tops[index] + this.lengths[index];
    const height = `${this.tops.at(-1)}px`;
    if (this.stage.style.height !== height) this.stage.style.height = height;
  }

  /** The row at the top of the view, and how far it is scrolled over. */
  anchor() {
    if (!this.items.length || !this.tops) return undefined;
    const index = Math.min(this.items.length - 1, Math.max(0, lastAtMost(this.tops, this.top, Number)));
    return { key: this.items[index].key, over: this.top - this.tops[index] };
  }

  hold(anchor) {
    const index = anchor && this.index.get(anchor.key);
    if (index === undefined) return;
    const wanted = this.tops[index] + anchor.over;
    if (Math.abs(wanted - this.top) < 1) return;
    this.scroller.scrollTop = wanted;
    this.top = wanted;
  }

  /** Bring the page's rows in line with what is in view. */
  show() {
    if (!this.tops) return;
    cancelAnimationFrame(this.frame);
    const chosen = this.items.length ? this.choose() : [];
    const pinned = this.index.get(this.pinned);
    if (pinned !== undefined && !chosen.includes(pinned)) chosen.push(pinned);
    this.put(chosen.sort((a, b) => a - b));
  }

  /** The rows in view, and around it, that are drawn already or may still be drawn in this frame; others come in the next. */
  choose() {
    const most = this.items.length - 1;
    const at = (px) => Math.min(most, Math.max(0, lastAtMost(this.tops, px, Number)));
    const [first, last] = [at(this.top), at(this.top + this.view)];
    const [least, end] = [at(this.top - AHEAD_PX), at(this.top + this.view + AHEAD_PX)];
    const chosen = [];
    let isLeft = false;
    const choose = (index, limit) => {
      const isDrawn = this.rows.has(this.items[index].key);
      if (!isDrawn && this.drawn >= limit) isLeft = true;
      else chosen.push(index);
      if (!isDrawn && this.drawn < limit) this.drawn += 1;
    };
    for (let index = first; index <= last; index += 1) choose(index, ROWS_A_FRAME);
    for (let index = last + 1; index <= end; index += 1) choose(index, AHEAD_ROWS);
    for (let index = first - 1; index >= least; index -= 1) choose(index, AHEAD_ROWS);
    if (this.drawn) {
      this.frame = requestAnimationFrame(() => {
        this.drawn = 0;
        if (isLeft) this.show();
      });
    }
    return chosen;
  }

  /** Have these rows in the page, by their places in order, and no others. */
  put(chosen) {
    const wanted = new Map(chosen.map((index) => [this.items[index].key, index]));
    for (const key of [...this.rows.keys()]) if (!wanted.has(key)) this.take(key);
    let before = null;
    for (const [key, index] of wanted) {
      const row = this.place(this.items[index], index);
      const follows = before ? before.nextElementSibling : this.stage.firstElementChild;
      if (row.element !== follows) this.stage.insertBefore(row.element, follows);
      before = row.element;
    }
  }

  place(item, index) {
    let row = this.rows.get(item.key);
    if (!row || (row.item !== item && this.pinned !== item.key)) {
      const element = this.draw(item, index);
      if (row) {
        this.sizes.unobserve(row.element);
        row.element.replaceWith(element);
      }
      row = { element };
      this.rows.set(item.key, row);
      element.listKey = item.key;
      this.sizes.observe(element);
    }
    row.item = item;
    if (row.top !== this.tops[index]) {
      row.top = this.tops[index];
      row.element.style.transform = `translateY(${row.top}px)`;
    }
    return row;
  }

  take(key) {
    const row = this.rows.get(key);
    this.rows.delete(key);
    this.sizes.unobserve(row.element);
    this.removed(key);
    row.element.remove();
  }

  /** Heights as the browser laid them out: told before anything is painted, so that no wrong guess is ever seen. */
  measure(entries) {
    const anchor = this.anchor();
    let from = Infinity; // the first row that has another height than was thought
    let isWider = false;
    for (const { target, borderBoxSize, contentRect } of entries) {
      if (target === this.scroller) {
        isWider = contentRect.width !== this.width;
        this.width = contentRect.width;
        this.view = contentRect.height;
        from = Math.min(from, this.items.length);
        continue;
      }
      const height = borderBoxSize[0].blockSize;
      const index = target.isConnected ? this.index.get(target.listKey) : undefined;
      if (index === undefined) continue;
      this.heights.set(target.listKey, height);
      if (this.lengths[index] === height) continue;
      this.lengths[index] = height;
      from = Math.min(from, index);
    }
    if (from === Infinity || !this.items.length) return;
    if (isWider) {
      this.heights.clear();
      this.guesses = new WeakMap();
      // The browser tells only of those whose height has changed.
      for (const [key, { element }] of this.rows) this.heights.set(key, element.getBoundingClientRect().height);
      this.layOutAll();
    } else this.layOut(from);
    this.hold(anchor);
    this.show();
  }
}
