// The language of the pages: texts by key, numbers, times and dates as that language writes them.

import { recall, remember, store } from "./store.js";

export const LANGUAGES = { en: "English", zh: "中文" };
const TAGS = { en: "en", zh: "zh-Hans" };

/** The language in use, a key of LANGUAGES. */
export const language = store(chosen());
let texts = {};

function chosen() {
  const kept = recall("language");
  if (kept in LANGUAGES) return kept;
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

/** Load the texts of a language and use it from now on; remembered when somebody chose it. */
export async function speak(name, { keep = false } = {}) {
  texts = (await import(`../locales/${name}.js`)).default;
  if (keep) remember("language", name);
  document.documentElement.lang = TAGS[name];
  language.set(name);
}

/**
 * The text of a key, with {name} replaced by values.name. Where a text depends on a number, it is an object of the
 * forms that Intl.PluralRules knows, and values.count decides.
 */
export function t(key, values = {}) {
  let text = texts[key];
  if (text && typeof text === "object") {
    text = text[new Intl.PluralRules(TAGS[language.get()]).select(values.count)] ?? text.other;
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** Whether there is a text of this key. */
export const known = (key) => key in texts;

export const number = (value, how) => new Intl.NumberFormat(TAGS[language.get()], how).format(value);
export const percent = (share) => number(share, { style: "percent", maximumFractionDigits: 0 });

/** A place on a recording's clock: 3:07, 1:02:45; with `exact` 3:07.250. */
export function clock(ms, { exact = false } = {}) {
  const whole = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value) => String(value).padStart(2, "0");
  const told = hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
  return exact ? `${told}.${String(Math.floor(ms) % 1000).padStart(3, "0")}` : told;
}

/** How long something takes or lasts, in its two largest units: 1 h 5 min, 42 s. */
export function duration(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return t("unit.seconds", { count: seconds });
  const minutes = Math.round(seconds / 60);
  if (seconds < 600 && seconds % 60) {
    return `${t("unit.minutes", { count: Math.floor(seconds / 60) })} ${t("unit.seconds", { count: seconds % 60 })}`;
  }
  if (minutes < 60) return t("unit.minutes", { count: minutes });
  const hours = t("unit.hours", { count: Math.floor(minutes / 60) });
  return minutes % 60 ? `${hours} ${t("unit.minutes", { count: minutes % 60 })}` : hours;
}

/** An instant (epoch milliseconds or ISO text) as a date and a time of day, in the browser's zone. */
export function instant(at) {
  const when = new Date(at);
  const year = when.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return when.toLocaleString(TAGS[language.get()], { year, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

/** The instant at which clocks of a zone showed "2026-05-01 09:30:00". */
export function shownAt(text, timeZone) {
  const utc = (local) => Date.parse(`${local.replace(" ", "T")}Z`);
  let at = utc(text);
  // The second turn is for what lies within hours of a change of the clocks.
  for (let turn = 0; turn < 2; turn += 1) at += utc(text) - utc(new Date(at).toLocaleString("sv", { timeZone }));
  return at;
}

/** A day, from YYYY-MM-DD or an instant. */
export function day(at) {
  const when = typeof at === "string" && at.length === 10 ? new Date(`${at}T12:00:00`) : new Date(at);
  return when.toLocaleDateString(TAGS[language.get()], { month: "short", day: "numeric" });
}

/** How long ago an instant was: "3 minutes ago". */
export function ago(at) {
  const seconds = Math.round((new Date(at).getTime() - Date.now()) / 1000);
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units[3];
  return new Intl.RelativeTimeFormat(TAGS[language.get()], { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
}

/** A size in bytes as 3.4 MB. */
export function bytes(size) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = size < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(size) / 3));
  return number(size / 1000 ** step, { style: "unit", unit: units[step], maximumFractionDigits: size < 1e4 ? 0 : 1 });
}

/** The name of a language code in the language of the pages. */
export function languageName(code) {
  try {
    return new Intl.DisplayNames([TAGS[language.get()]], { type: "language" }).of(code);
  } catch {
    return code;
  }
}
