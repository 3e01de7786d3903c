// What the list shows, in order of time: sentences, and between them the stretches that hold none, from the ledger.

/** Shorter pauses are not worth a line: they are where people breathe and turns change. */
const PAUSE_MS = 3000;

/** The parts of `ledger` of one fate, by channel, in order. */
function stretchesOf(ledger, fate) {
  const channels = new Map();
  for (const entry of ledger) {
    if (entry.fate !== fate) continue;
    if (!channels.has(entry.channel)) channels.set(entry.channel, []);
    channels.get(entry.channel).push(entry);
  }
  return channels;
}

/** Where two lists of stretches, each in order and disjoint, both are. */
function both(left, right) {
  const common = [];
  for (let a = 0, b = 0; a < left.length && b < right.length; ) {
    const begin_ms = Math.max(left[a].begin_ms, right[b].begin_ms);
    const end_ms = Math.min(left[a].end_ms, right[b].end_ms);
    if (begin_ms < end_ms) common.push({ begin_ms, end_ms });
    if (left[a].end_ms < right[b].end_ms) a += 1;
    else b += 1;
  }
  return common;
}

/** {pauses, failures}: where no channel holds speech, and what of each could not be recognized, with its reason. */
export function stretches(ledger, channels) {
  const silent = stretchesOf(ledger, "non_speech");
  const lists = channels.map((channel) => silent.get(channel) || []);
  const pauses = lists.length ? lists.reduce(both) : [];
  const failures = [...stretchesOf(ledger, "failed").values()].flat();
  return { pauses, failures: failures.sort((a, b) => a.begin_ms - b.begin_ms) };
}

/** The items of the list. Sentences are items themselves; a stretch has a `kind` and a key that no sentence has. */
export function itemsOf(sentences, { pauses, failures }) {
  const between = [
    ...pauses.filter((pause) => pause.end_ms - pause.begin_ms >= PAUSE_MS).map((pause) => ({ ...pause, kind: "pause" })),
    ...failures.map((failure) => ({ ...failure, kind: "failure" })),
  ].map((item) => ({ ...item, key: `${item.kind} ${item.channel ?? ""} ${item.begin_ms}` }));
  return [...sentences, ...between].sort((a, b) => a.begin_ms - b.begin_ms || a.end_ms - b.end_ms);
}
