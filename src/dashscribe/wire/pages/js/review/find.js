// Looking for a text in sentences, and putting another in its place.

/** A pattern for the text as it stands: no character of it means anything else. `undefined` for an empty one. */
function patternOf(wanted, { matchCase = false, wholeWords = false } = {}) {
  if (!wanted) return undefined;
  const literal = wanted.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  // Chinese and Japanese have no spaces between words: an edge is only where letters or digits of other writing end.
  const letter = "(?![\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}])[\\p{L}\\p{N}]";
  return new RegExp(wholeWords ? `(?<!${letter})${literal}(?!${letter})` : literal, matchCase ? "gu" : "giu");
}

/** Every place where `wanted` stands: [{key, from, to}] in order of the sentences; none crosses from one to the next. */
export function find(sentences, wanted, how) {
  const pattern = patternOf(wanted, how);
  if (!pattern) return [];
  const found = [];
  for (const sentence of sentences) {
    for (const match of sentence.text.matchAll(pattern)) {
      found.push({ key: sentence.key, from: match.index, to: match.index + match[0].length });
    }
  }
  return found;
}

/** What is looked for in a query of the library: whatever stands between spaces, or between straight quotes. */
const TERM = /"([^"]*)"|(\S+)/g;

/**
 * What of a query of the library to look for here, {wanted, at}: as much of it as stands in a sentence, rather that which
 * begins at `ms`, and at which of its places. The library compares more loosely, so there may be none: undefined.
 */
export function partToFind(query, sentences, ms) {
  const terms = [...query.matchAll(TERM)].map(([, quoted, bare]) => quoted || bare).filter(Boolean);
  const parts = [query.trim(), ...terms, ...terms.flatMap((term) => term.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [])];
  for (const where of [sentences.filter(({ begin_ms }) => begin_ms === ms), sentences]) {
    for (const wholeWords of [true, false]) {
      const wanted = parts.find((part) => find(where, part, { wholeWords }).length > 0);
      if (!wanted) continue;
      const [{ key }] = find(where, wanted, { wholeWords });
      return { wanted, at: find(sentences, wanted).findIndex((one) => one.key === key) };
    }
  }
  return undefined;
}

/** The new texts where `wanted` is replaced everywhere: Map of key to text, only of sentences that change. */
export function replaceAll(sentences, wanted, by, how) {
  const pattern = patternOf(wanted, how);
  const texts = new Map();
  if (!pattern) return texts;
  for (const sentence of sentences) {
    const text = sentence.text.replace(pattern, () => by); // a function, so that "$&" in the new text stays itself
    if (text !== sentence.text) texts.set(sentence.key, text);
  }
  return texts;
}
