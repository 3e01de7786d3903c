// Who is signed in: the API key of this browser and what the server says about it.

import { recall, remember, store } from "./store.js";

/** {key, me, note}: no key means nobody is signed in; `note` is the key of a text that says why not any more. */
export const session = store({ key: recall("key", "", "sessionStorage") || recall("key", ""), me: null, note: "" });

/** Use a key from now on, until this tab is closed or, with `stay`, until somebody signs out. */
export function signIn(key, me, { stay }) {
  remember("key", stay ? undefined : key, "sessionStorage");
  remember("key", stay ? key : undefined);
  session.set({ key, me, note: "" });
}

/** Forget the key here and in other tabs. */
export function signOut(note = "") {
  remember("key", undefined, "sessionStorage");
  remember("key", undefined);
  session.set({ key: "", me: null, note });
}

// Signing out in one tab signs the others out that share the key.
window.addEventListener("storage", (event) => {
  const mine = !recall("key", "", "sessionStorage");
  if (event.key === "dashscribe.key" && event.newValue === null && mine && session.get().key) signOut();
});
