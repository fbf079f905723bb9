// @ts-check
/** The page's language: one table a language, chosen by the browser, switchable, remembered by the URL only. */
import en from "./words/en.js";
import ru from "./words/ru.js";

/** @type {Record<string, Record<string, string>>} */
const WORDS = { en, ru };

/** The language asked for in the URL, else the browser's first that we have, else English. */
function preferred() {
  const asked = new URLSearchParams(location.search).get("lang");
  const wanted = [asked, ...navigator.languages].map((tag) => (tag ?? "").slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in WORDS) ?? "en";
}

export const language = preferred();

/**
 * The words for `key` in the page's language, with `{name}` replaced from `values`.
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export const say = (key, values = {}) => sayIn(language, key, values);

/** @param {string} tag of a language that `known` gave @param {string} key @param {Record<string, string | number>} [values] */
export function sayIn(tag, key, values = {}) {
  const template = WORDS[tag][key];
  if (template === undefined) throw new Error(`no words for ${key} in ${tag}`);
  return template.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** The language asked for (`ru`, `ru-RU` …) if there are words for it, else the page's. @param {string | null} [tag] */
export function known(tag) {
  const short = (tag ?? "").slice(0, 2).toLowerCase();
  return short in WORDS ? short : language;
}

/** Words for a key that comes from data: the key's last part where there are none. @param {string} key */
export function sayOr(key) {
  return WORDS[language][key] ?? key.slice(key.lastIndexOf(".") + 1);
}

/** Put the chosen language into every element that names its words. */
export function translate(root = document) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-i18n]")) {
    node.textContent = say(/** @type {HTMLElement} */ (node).dataset.i18n ?? "");
  }
  for (const node of root.querySelectorAll("[data-i18n-label]")) {
    node.setAttribute("aria-label", say(/** @type {HTMLElement} */ (node).dataset.i18nLabel ?? ""));
  }
}

/** @param {HTMLSelectElement} select */
export function languageSwitch(select) {
  select.value = language;
  select.addEventListener("change", () => {
    const url = new URL(location.href);
    url.searchParams.set("lang", select.value);
    location.assign(url);
  });
}

const twoDigits = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const oneDigit = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percentFormat = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const twoFigures = new Intl.NumberFormat(language, { maximumSignificantDigits: 2 });
const integer = new Intl.NumberFormat(language);

/** @param {number} value */
export const count = (value) => integer.format(value);
/** @param {number} value a speedup over JavaScript */
export const times = (value) => `${(value < 10 ? twoDigits : oneDigit).format(value)}×`;
/** @param {number} value the same beside an axis */
export const roughly = (value) => `${twoFigures.format(value)}×`;
/** @param {number} value a fraction */
export const percent = (value) => percentFormat.format(value);
/** @param {Date} when */
export const clock = (when) => when.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
/** @param {Date} when */
export const day = (when) => when.toLocaleDateString(language, { dateStyle: "medium" });
/** @param {number} value @param {string} unit @param {number} [digits] after the point */
function measure(value, unit, digits = 0) {
  return value.toLocaleString(language, { style: "unit", unit, unitDisplay: "short", minimumFractionDigits: digits, maximumFractionDigits: digits });
}
/** @param {number} bytes */
export const kilobytes = (bytes) => measure(bytes / 1000, "kilobyte", 1);
/** @param {number} seconds a round number of seconds, minutes or hours */
export function duration(seconds) {
  if (seconds < 60) return measure(seconds, "second");
  return seconds < 3600 ? measure(seconds / 60, "minute") : measure(seconds / 3600, "hour");
}
