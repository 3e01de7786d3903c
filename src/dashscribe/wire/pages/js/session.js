// Who is signed in: the API key of this browser and what the server says about it.

import { forgetAllBut, recall, remember, store } from "./store.js";

/** {key, me, note}: no key means nobody is signed in; `note` is the key of a text that says why not any more. */
export const session = store({ key: recall("key", "", "sessionStorage") || recall("key", ""), me: null, note: "" });

/** What is of the browser, whoever signs in: everything else that is remembered is somebody's own. */
const OF_ALL = ["language", "theme"];

/**
 * What may have to be finished before somebody signs out: functions that give a promise of true once nothing would be
 * lost. Pages add and remove theirs.
 */
export const unfinished = new Set();

/** Whether all of that is through. */
export const finishAll = async () => (await Promise.all([...unfinished].map((finish) => finish()))).every(Boolean);

/** Call `act` whenever somebody has been signed out, as long as these pages live. */
export function whenSignedOut(act) {
  session.subscribe(({ key }) => key || act());
}

/** Forget what somebody left in this browser: what is remembered, and files that were on their way. */
function forgetOwner() {
  forgetAllBut(OF_ALL);
  void import("./new/kept_files.js").then(({ forgetAll }) => forgetAll());
}

/** Use a key from now on, until this tab is closed or, with `stay`, until somebody signs out. */
export function signIn(key, me, { stay }) {
  if (recall("owner", me.owner) !== me.owner) forgetOwner(); // somebody else's, whose key was refused
  remember("owner", me.owner);
  remember("key", stay ? undefined : key, "sessionStorage");
  remember("key", stay ? key : undefined);
  session.set({ key, me, note: "" });
}

/** Forget the key here and in other tabs, and all that its owner left in this browser. */
export function signOut() {
  forgetOwner();
  session.set({ key: "", me: null, note: "" });
}

/** The key is refused: what its owner left stays for when they sign in again, and for nobody else. */
export function keyRefused() {
  remember("key", undefined, "sessionStorage");
  remember("key", undefined);
  session.set({ key: "", me: null, note: "signIn.refused" });
}

// Signing out in one tab signs the others out that share the key, once what was done in them is saved.
window.addEventListener("storage", async (event) => {
  const mine = !recall("key", "", "sessionStorage");
  if (event.key !== "dashscribe.key" || event.newValue !== null || !mine || !session.get().key) return;
  await finishAll();
  signOut();
});
