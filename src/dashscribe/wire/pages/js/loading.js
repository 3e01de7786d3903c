// Data that a page shows: loading, loaded, failed, and asked for again while it may change.

import { rest } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./lib.js";

/**
 * {data, error, loading, reload, setData} of `load(signal)`, which is called again when one of `deps` changes. What was
 * loaded stays on the screen while it is loaded again.
 */
export function useLoad(load, deps = []) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    load(stop.signal).then(
      (data) => !stop.signal.aborted && setState({ data, error: null, loading: false }),
      (error) => !stop.signal.aborted && setState((before) => ({ ...before, error, loading: false })),
    );
    return () => stop.abort();
  }, [...deps, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const setData = useCallback((data) => {
    setState((before) => ({ data: typeof data === "function" ? data(before.data) : data, error: null, loading: false }));
  }, []);
  return { ...state, reload, setData };
}

const FIRST_MS = 1000;
const LAST_MS = 15_000;

/**
 * Call `look(signal)` again and again while `active`: soon at first, then ever less often, sooner again when it answers
 * true ("something changed"). Not while the page is hidden; failures only make the pauses longer.
 */
export function usePolling(look, active, deps = []) {
  const latest = useRef(look);
  latest.current = look;
  useEffect(() => {
    if (!active) return undefined;
    const stop = new AbortController();
    poll((signal) => latest.current(signal), stop.signal).catch(() => undefined); // ends by the abort only
    return () => stop.abort();
  }, [active, ...deps]);
}

async function poll(look, signal) {
  for (let pause = FIRST_MS; ; ) {
    await rest(pause, signal);
    await visible(signal);
    let changed = false;
    try {
      changed = await look(signal);
    } catch (error) {
      if (signal.aborted) throw error;
    }
    pause = changed ? FIRST_MS : Math.min(LAST_MS, pause * 1.4);
  }
}

function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("aborted", "AbortError"));
    const go = () => {
      signal.removeEventListener("abort", stop);
      resolve();
    };
    document.addEventListener("visibilitychange", go, { once: true, signal });
    signal.addEventListener("abort", stop, { once: true });
  });
}
