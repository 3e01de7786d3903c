// Two texts as rows to stand side by side, from the runs of words that the server found the same or different.

import { joint } from "./words.js";

/** A row ends with a sentence once it has so many words, and in any case with so many more. */
const ENOUGH = 14;
const MOST = 40;
const STOPS = /[.!?。！？…]["'”’」』)）]*$/;

/**
 * {rows, places}: rows are {key, channel, left, right, guess}, their sides lists of {text, before, begin_ms, isChanged,
 * place}, where `before` goes between a word and the one before it; places are the keys of the rows where each difference begins.
 */
export function differences(pairs) {
  const rows = [];
  const places = [];
  let row;
  const begin = (channel) => {
    row = { key: rows.length, channel, left: [], right: [] };
    rows.push(row);
  };
  const put = (side, word, more) => {
    const before = side.at(-1);
    side.push({ text: word.text, begin_ms: word.begin_ms, end_ms: word.end_ms, before: before ? joint(before.text, word.text) : "", ...more });
  };
  for (const { kind, channel = 0, left = [], right = [] } of pairs) {
    if (!row || row.channel !== channel) begin(channel);
    if (kind !== "same") {
      const place = places.push(row.key) - 1;
      for (const word of left) put(row.left, word, { isChanged: true, place });
      for (const word of right) put(row.right, word, { isChanged: true, place });
      continue;
    }
    left.forEach((word, index) => {
      put(row.left, word, {});
      put(row.right, right[index], {});
      const length = Math.max(row.left.length, row.right.length);
      if (length >= MOST || (length >= ENOUGH && STOPS.test(word.text))) begin(channel);
    });
  }
  if (rows.length && !rows.at(-1).left.length && !rows.at(-1).right.length) rows.pop();
  return { rows, places };
}

/** All words of one side in order of time, each with its row and its place in it. */
export function inTime(rows, side) {
  const words = rows.flatMap((row) => row[side].map((word, index) => ({ ...word, key: row.key, index })));
  return words.sort((a, b) => a.begin_ms - b.begin_ms);
}
