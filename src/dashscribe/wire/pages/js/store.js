// A value that several parts of the pages show, and what remembers such values in the browser.

import { useEffect, useState } from "./lib.js";

/** A value with get, set and subscribe. */
export function store(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      value = typeof next === "function" ? next(value) : next;
      for (const listener of [...listeners]) listener(value);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The value of a store; the component is drawn again when it changes. */
export function useStore(source) {
  const [value, setValue] = useState(source.get());
  useEffect(() => {
    setValue(() => source.get()); // it may have changed between drawing and now
    return source.subscribe((next) => setValue(() => next));
  }, [source]);
  return value;
}

const PREFIX = "dashscribe.";

/** What was remembered under a name, else `otherwise`. Browsers may forbid storage: then nothing is remembered. */
export function recall(name, otherwise, storage = "localStorage") {
  try {
    const text = window[storage].getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** Forget everything but what is named, here and for tabs to come. */
export function forgetAllBut(names) {
  const kept = new Set(names.map((name) => PREFIX + name));
  for (const storage of ["localStorage", "sessionStorage"]) {
    try {
      const found = Object.keys(window[storage]).filter((name) => name.startsWith(PREFIX) && !kept.has(name));
      for (const name of found) window[storage].removeItem(name);
    } catch {
      // Storage is forbidden: there is nothing in it.
    }
  }
}

/** Remember a value under a name; undefined forgets it. */
export function remember(name, value, storage = "localStorage") {
  try {
    if (value === undefined) window[storage].removeItem(PREFIX + name);
    else window[storage].setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Storage is forbidden or full: the pages work without.
  }
}
