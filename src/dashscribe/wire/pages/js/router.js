// Which page is shown: the part of the address after #, so that the server and proxies know of one address only.

import { store } from "./store.js";

/** {path, query}: the path without #, the query as an object of texts. */
export const place = store(read());

function read() {
  const [path, query = ""] = (location.hash.replace(/^#/, "") || "/").split("?");
  return { path, query: Object.fromEntries(new URLSearchParams(query)) };
}

window.addEventListener("hashchange", () => place.set(read()));

/** The address of a page, for href; parts of the path that come from data are to be encoded by the caller. */
export function link(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

/** Go to a page. */
export function go(path, query) {
  location.hash = link(path, query);
}

/** Change the query of the page that is shown, without a step for the Back button. */
export function setQuery(query) {
  history.replaceState(null, "", link(place.get().path, query));
  place.set(read());
}

/** The first route whose pattern ("/recordings/:id") fits, with its params decoded; else null. */
export function match(routes, path) {
  for (const route of routes) {
    const names = [];
    const pattern = route.path.replace(/:(\w+)/g, (_, name) => (names.push(name), "([^/]+)"));
    const found = new RegExp(`^${pattern}/?$`).exec(path);
    if (!found) continue;
    try {
      return { route, params: Object.fromEntries(names.map((name, at) => [name, decodeURIComponent(found[at + 1])])) };
    } catch {
      return null; // what cannot be decoded was not made by link()
    }
  }
  return null;
}
