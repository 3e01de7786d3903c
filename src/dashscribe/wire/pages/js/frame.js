// What surrounds the pages: the menu, the switches for language and theme, and the page that the address names.

import { html, useEffect, useState } from "./lib.js";
import { LANGUAGES, language, speak, t } from "./i18n.js";
import { go, link, match, place } from "./router.js";
import { routes } from "./routes.js";
import { finishAll, session, signOut } from "./session.js";
import { useStore } from "./store.js";
import { nextTheme, theme } from "./theme.js";
import { Button, LinkButton } from "./components/button.js";
import { confirm, Confirmations } from "./components/dialog.js";
import { Icon } from "./components/icons.js";
import { Empty, ErrorNote, Loading } from "./components/states.js";
import { Page } from "./components/page.js";
import { Toasts } from "./components/toast.js";

/** Switches that are of use before signing in, too. */
export function Switches() {
  const now = useStore(theme);
  const other = Object.keys(LANGUAGES).find((name) => name !== language.get());
  return html`
    <${Button} kind="quiet small" icon="globe" lang=${other} onClick=${() => speak(other, { keep: true })}>${LANGUAGES[other]}<//>
    <${Button} kind="quiet small" icon=${{ auto: "auto", light: "sun", dark: "moon" }[now]} label=${t(`theme.${now}`)} onClick=${nextTheme} />`;
}

/** The name of the program, which leads to its first page. */
export function Brand() {
  return html`<a class="brand" href=${link("/library")}><img src="pages/icon.svg" alt="" />dashscribe</a>`;
}

/** Everything of somebody who is signed in. */
export function Frame() {
  const { path, query } = useStore(place);
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [path]);
  const { me } = useStore(session);
  const skip = (event) => { event.preventDefault(); document.querySelector("h1")?.focus(); };
  return html`<div class="frame">
    <header class="side ${open ? "open" : ""}">
      <a class="button skip" href="#" onClick=${skip}>${t("nav.skip")}</a>
      <div class="top">
        <${Brand} />
        <${Button} kind="quiet" class="menu-button" icon=${open ? "close" : "menu"} label=${t("nav.menu")}
          aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)} />
      </div>
      <${Menu} path=${path} />
      <div class="about-me">
        ${me && html`<p title=${me.key_id}>${me.owner === me.key_name ? me.owner : `${me.owner} · ${me.key_name ?? ""}`}</p>`}
        <div class="settings"><${Switches} />
          <${Button} kind="quiet small" icon="out" onClick=${leave}>${t("nav.signOut")}<//></div>
      </div>
    </header>
    <main class="main"><${Shown} path=${path} query=${query} /></main>
    <${Confirmations} /><${Toasts} />
  </div>`;
}

/** Sign out, once nothing would be lost by it, or somebody knows that it will be. */
async function leave() {
  const question = { title: t("nav.leaveTitle"), text: t("nav.leaveText"), action: t("nav.signOut"), danger: true };
  if (!(await finishAll()) && !(await confirm(question))) return;
  signOut();
  go("/"); // where somebody was is theirs, too
}

function Menu({ path }) {
  const groups = ["", "nav.words", "nav.server"];
  const item = (route) => html`<li key=${route.path}><a href=${link(route.path)}
    aria-current=${path === route.path ? "page" : undefined}><${Icon} name=${route.icon} size=${18} />${t(route.title)}</a></li>`;
  return html`<nav aria-label=${t("nav.label")}>${groups.map((group) => html`<div key=${group}>
    ${group && html`<p id=${group}>${t(group)}</p>`}
    <ul aria-labelledby=${group || undefined}>${routes.filter((route) => route.title && route.group === group).map(item)}</ul>
  </div>`)}</nav>`;
}

/** The page of an address, once its module is there. */
function Shown({ path, query }) {
  const found = match(routes, path === "/" ? "/library" : path);
  const [loaded, setLoaded] = useState({ route: null, draw: null, error: null });
  const route = found?.route;
  useEffect(() => {
    if (!route) return undefined;
    let left = false;
    route.load().then(
      (module) => !left && setLoaded({ route, draw: module.default, error: null }),
      (error) => !left && setLoaded({ route, draw: null, error }),
    );
    window.scrollTo(0, 0);
    return () => { left = true; };
  }, [route]);
  if (!found) return html`<${Missing} />`;
  if (loaded.route !== route) return html`<${Loading} />`;
  // Not found again by importing again: browsers remember modules that failed. The whole page is asked for anew.
  if (loaded.error) return html`<${ErrorNote} error=${{ code: "Network", message: "" }} retry=${() => location.reload()} />`;
  return html`<${loaded.draw} key=${path} params=${found.params} query=${query} />`;
}

function Missing() {
  const action = html`<${LinkButton} href=${link("/library")}>${t("nav.library")}<//>`;
  return html`<${Page} title=${t("missing.title")}><${Empty} icon="search" title=${t("missing.what")} action=${action}>${t("missing.text")}<//><//>`;
}
