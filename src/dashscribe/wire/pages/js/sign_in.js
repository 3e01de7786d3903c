// The page that asks for the API key.

import { get, V1 } from "./api.js";
import { html, useEffect, useState } from "./lib.js";
import { t } from "./i18n.js";
import { session, signIn } from "./session.js";
import { Brand, Switches } from "./frame.js";
import { Button } from "./components/button.js";
import { Check, TextField } from "./components/field.js";
import { ErrorNote, Note } from "./components/states.js";

/** Asks the server who the key belongs to; a key that it refuses is not kept. */
export function SignIn() {
  const [key, setKey] = useState("");
  const [stay, setStay] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const { note } = session.get();
  useEffect(() => document.querySelector("input[type=password]").focus(), []);
  document.title = `${t("signIn.title")} · dashscribe`;
  const submit = async (event) => {
    event.preventDefault();
    if (!key.trim()) return;
    setBusy(true);
    setError(null);
    try {
      const me = await get(`${V1}/me`, {}, { key: key.trim() });
      signIn(key.trim(), me, { stay });
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const wrong = error?.status === 401 ? t("signIn.wrong") : undefined;
  return html`<div class="sign-in"><main>
    <div class="row spread"><${Brand} /><div class="row"><${Switches} /></div></div>
    <h1>${t("signIn.title")}</h1>
    ${note && !error && html`<${Note} kind="warn">${t(note)}<//>`}
    <form onSubmit=${submit}>
      <${TextField} label=${t("signIn.key")} hint=${t("signIn.hint")} wrong=${wrong} type="password" value=${key}
        onValue=${setKey} autocomplete="current-password" spellcheck="false" autocapitalize="off" required placeholder="sk-…" />
      <${Check} label=${t("signIn.stay")} hint=${t("signIn.stayHint")} checked=${stay} onValue=${setStay} />
      ${error && !wrong && html`<${ErrorNote} error=${error} />`}
      <div class="buttons"><${Button} type="submit" kind="primary" busy=${busy}>${t("signIn.go")}<//></div>
    </form>
  </main></div>`;
}
