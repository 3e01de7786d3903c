// Where words lie in a sentence's text and on the clock. Nothing here touches the page.

/** The index of the last item whose `value(item)` is at most `limit`; -1 if there is none. `items` are in that order. */
export function lastAtMost(items, limit, value) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (value(items[middle]) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const places = new WeakMap();

/**
 * The words of a sentence as places in its text: [{from, to, index}], in order, `to` behind the word's punctuation.
 *
 * Words spell the text, with spaces between them that are no word's. A word that is not found is left out, and what
 * stands there is text without a time.
 */
export function placesOf(sentence) {
  const known = places.get(sentence);
  if (known) return known;
  const found = [];
  let at = 0;
  (sentence.words || []).forEach((word, index) => {
    const spelled = word.text + (word.punctuation || "");
    let from = sentence.text.indexOf(spelled, at);
    let length = spelled.length;
    if (from < 0) {
      const bare = word.text.trim();
      from = bare ? sentence.text.indexOf(bare, at) : -1;
      length = bare.length;
    }
    if (from < 0 || !length) return;
    at = from + length;
    const to = from + sentence.text.slice(from, at).trimEnd().length; // words may carry the space behind them
    if (to > from) found.push({ from, to, index });
  });
  places.set(sentence, found);
  return found;
}

/** The place of the word at or before an offset of the text; undefined before the first. */
export function placeAt(sentence, offset) {
  const all = placesOf(sentence);
  return all[lastAtMost(all, offset, (place) => place.from)];
}

/** Which sentence and word sound at an instant, for each channel: two binary searches. */
export class Clock {
  constructor(sentences) {
    this.channels = new Map();
    for (const sentence of sentences) {
      if (!this.channels.has(sentence.channel)) this.channels.set(sentence.channel, []);
      this.channels.get(sentence.channel).push(sentence);
    }
  }

  /**
   * [{sentence, word}] at `ms`, the sentence that began last at the end. `word` is -1 between words; a sentence that
   * is over stays the channel's current one until the next begins, marked `over`.
   */
  at(ms) {
    const found = [];
    for (const sentences of this.channels.values()) {
      const sentence = sentences[lastAtMost(sentences, ms, (one) => one.begin_ms)];
      if (!sentence) continue;
      const over = ms >= sentence.end_ms;
      const words = sentence.words || [];
      const index = over ? -1 : lastAtMost(words, ms, (word) => word.begin_ms);
      found.push({ sentence, word: index >= 0 && ms < words[index].end_ms ? index : -1, over });
    }
    return found.sort((a, b) => (b.over - a.over) || a.sentence.begin_ms - b.sentence.begin_ms);
  }
}

/** What goes between two texts that follow each other: nothing after Chinese or Japanese, else a space (as the server does). */
export function joint(left, right) {
  if (!left || !right || /\s$/.test(left) || /^\s/.test(right)) return "";
  const before = left.replace(/[”’…—]+$/, "").slice(-1);
  return /[\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff00-\uffef]|[\ud840-\udfff]/.test(before) ? "" : " ";
}

/**
 * A sentence with another text, for the second until the server has aligned it: words at both ends that are as they
 * were keep their times, and what is new in between is one word that lasts as long as what it replaces.
 */
export function reworded(sentence, text) {
  const words = sentence.words || [];
  const all = placesOf(sentence);
  let head = 0;
  while (head < text.length && head < sentence.text.length && text[head] === sentence.text[head]) head += 1;
  let tail = 0;
  const most = Math.min(text.length, sentence.text.length) - head;
  while (tail < most && text.at(-1 - tail) === sentence.text.at(-1 - tail)) tail += 1;
  const before = all.filter((place) => place.to <= head);
  const after = all.filter((place) => place.from >= sentence.text.length - tail && place.from >= head);
  // A word that was lengthened at its edge is a changed word.
  while (before.length && /[^\s]/.test(text.slice(before.at(-1).to, before.at(-1).to + 1)) && before.at(-1).to === head && text.length > head && sentence.text[head] !== text[head]) before.pop();
  const from = before.length ? before.at(-1).to : 0;
  const to = after.length ? text.length - (sentence.text.length - after[0].from) : text.length;
  const middle = text.slice(from, Math.max(from, to)).trim();
  const kept = (list) => list.map((place) => words[place.index]);
  const begin_ms = before.length ? words[before.at(-1).index].end_ms : sentence.begin_ms;
  const end_ms = after.length ? words[after[0].index].begin_ms : sentence.end_ms;
  const between = middle ? [{ begin_ms, end_ms: Math.max(begin_ms, end_ms), text: middle, punctuation: "", approximate: true }] : [];
  return { ...sentence, text, words: [...kept(before), ...between, ...kept(after)], edited: true };
}

/** Both halves of a sentence that is cut at an offset of its text, the word that stands there cut in proportion. */
export function halves(sentence, offset) {
  const words = sentence.words || [];
  const left = [];
  const right = [];
  for (const { from, to, index } of placesOf(sentence)) {
    const word = words[index];
    if (to <= offset) left.push(word);
    else if (from >= offset) right.push(word);
    else {
      const cut_ms = Math.round(word.begin_ms + ((word.end_ms - word.begin_ms) * (offset - from)) / (to - from));
      const text = sentence.text.slice(from, offset);
      left.push({ ...word, end_ms: cut_ms, text, punctuation: "", approximate: true });
      right.push({ ...word, begin_ms: cut_ms, text: sentence.text.slice(offset, to), punctuation: "", approximate: true });
    }
  }
  const share = sentence.text.length ? offset / sentence.text.length : 0;
  const guess_ms = Math.round(sentence.begin_ms + (sentence.end_ms - sentence.begin_ms) * share);
  const begin_ms = right.length ? right[0].begin_ms : left.length ? sentence.end_ms : guess_ms;
  const end_ms = left.length ? left.at(-1).end_ms : right.length ? sentence.begin_ms : guess_ms;
  return [
    { ...sentence, end_ms, text: sentence.text.slice(0, offset).trimEnd(), words: left, edited: true },
    { ...sentence, begin_ms, text: sentence.text.slice(offset).trimStart(), words: right, edited: true },
  ];
}

/** Two sentences of a channel as one. */
export function joined(first, second) {
  return {
    ...first,
    begin_ms: Math.min(first.begin_ms, second.begin_ms),
    end_ms: Math.max(first.end_ms, second.end_ms),
    text: first.text + joint(first.text, second.text) + second.text,
    words: [...(first.words || []), ...(second.words || [])],
    edited: true,
  };
}
