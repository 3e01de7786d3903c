// Where everything begins: the texts of the language, then the frame, or the page of signing in.

import "./theme.js";
import { get, V1 } from "./api.js";
import { Frame } from "./frame.js";
import { language, speak } from "./i18n.js";
import { html, render, useEffect } from "./lib.js";
import { session } from "./session.js";
import { SignIn } from "./sign_in.js";
import { useStore } from "./store.js";

function App() {
  useStore(language); // everything is drawn again in another language
  const { key, me } = useStore(session);
  useEffect(() => {
    if (!key || me) return;
    // A key of an earlier visit: whose it is. Without an answer the pages work, and each tells of its own failure.
    get(`${V1}/me`).then((told) => session.set((now) => (now.key === key ? { ...now, me: told } : now)), () => undefined);
  }, [key, me]);
  return key ? html`<${Frame} />` : html`<${SignIn} />`;
}

await speak(language.get());
render(html`<${App} />`, document.getElementById("app"));
