// Light or dark: as the system has it, unless somebody chose.

import { recall, remember, store } from "./store.js";

const THEMES = ["auto", "light", "dark"];

/** auto, light or dark. */
export const theme = store(THEMES.includes(recall("theme")) ? recall("theme") : "auto");

/** Go on to the next of the three. */
export function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme.get()) + 1) % THEMES.length];
  remember("theme", next === "auto" ? undefined : next);
  theme.set(next);
}

const show = (name) => { document.documentElement.dataset.theme = name; };
theme.subscribe(show);
show(theme.get());
