// @ts-check
/** The page's language: one table for each, chosen by the browser, switchable, kept only in the URL. */
import en from "../words/en.js";
import ru from "../words/ru.js";

/** @type {Record<string, Record<string, string>>} */
const WORDS = { en, ru };

/** The language asked for in the URL, else the browser's first that we have, else English. */
function preferred() {
  const { location, navigator } = /** @type {Partial<typeof globalThis>} */ (globalThis); // pages are rendered on servers too
  const asked = new URLSearchParams(location?.search).get("lang");
  const wanted = [asked, ...(navigator?.languages ?? [])].map((tag) => (tag ?? "").slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in WORDS) ?? "en";
}

export let language = preferred();

/** @type {Map<HTMLElement, [key: string, values: Record<string, string | number>]>} what scripts said last, to say it again in another language */
const told = new Map();

/** Put words into an element that a script speaks through. @param {HTMLElement} node @param {string} key @param {Record<string, string | number>} [values] */
export function tell(node, key, values = {}) {
  delete node.dataset.i18n;
  told.set(node, [key, values]);
  node.textContent = say(key, values);
}

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

/** A build's name ("inlining+vectorization") in words: its parts, those without words taken apart. @param {string} tag @param {string} name */
export function buildIn(tag, name) {
  const plain = (/** @type {string} */ part) => part.replace(/[A-Z]|\d+/g, (found) => ` ${found.toLowerCase()}`);
  const parts = name.split("+");
  const said = parts.includes("relaxedSimd") ? parts.filter((part) => part !== "vectorization") : parts; // which it needs
  return said.map((part) => WORDS[tag][`build.${part}`] ?? plain(part)).join(", ");
}

/** Put the chosen language's words into every element with `data-i18n` or `data-i18n-label`. */
export function translate(root = document) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-i18n]")) {
    node.textContent = say(/** @type {HTMLElement} */ (node).dataset.i18n ?? "");
  }
  for (const node of root.querySelectorAll("[data-i18n-label]")) {
    node.setAttribute("aria-label", say(/** @type {HTMLElement} */ (node).dataset.i18nLabel ?? ""));
  }
  for (const [node, [key, values]] of told) node.textContent = say(key, values);
  keepLanguage(root);
}

/** A language that was asked for stays on links to our own pages. @param {ParentNode} root */
function keepLanguage(root) {
  const asked = new URLSearchParams(location.search).get("lang");
  for (const link of asked ? root.querySelectorAll("a[href]") : []) {
    const href = link.getAttribute("href") ?? "";
    if (/^[a-z][a-z0-9+.-]*:|^#|^\/\//i.test(href)) continue;
    const [path, query] = href.split("?");
    const wanted = new URLSearchParams(query);
    wanted.set("lang", language);
    link.setAttribute("href", `${path}?${wanted}`);
  }
}

/** @param {HTMLSelectElement} select @param {() => void} [redraw] shows everything again; without it the page is loaded anew */
export function languageSwitch(select, redraw) {
  select.value = language;
  select.addEventListener("change", () => {
    const url = new URL(location.href);
    url.searchParams.set("lang", select.value);
    if (!redraw) return location.assign(url);
    history.replaceState(history.state, "", url);
    language = select.value;
    formats = numberFormats();
    translate();
    redraw();
  });
}

const numberFormats = (tag = language) => ({
  twoDigits: new Intl.NumberFormat(tag, { minimumFractionDigits: 2, maximumFractionDigits: 2 }),
  oneDigit: new Intl.NumberFormat(tag, { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
  percent: new Intl.NumberFormat(tag, { style: "percent", maximumFractionDigits: 1 }),
  twoFigures: new Intl.NumberFormat(tag, { maximumSignificantDigits: 2 }),
  integer: new Intl.NumberFormat(tag),
});
let formats = numberFormats();

/** @param {number} value */
export const count = (value) => formats.integer.format(value);
/** @param {number} value a speedup over JavaScript */
export const times = (value) => timesBy(formats, value);
/** @param {ReturnType<typeof numberFormats>} by @param {number} value */
const timesBy = (by, value) => `${(value < 10 ? by.twoDigits : by.oneDigit).format(value)}×`;
/** Numbers in a language that `known` gave. @param {string} tag */
export function numbersIn(tag) {
  const by = numberFormats(tag);
  return { count: (/** @type {number} */ value) => by.integer.format(value), times: (/** @type {number} */ value) => timesBy(by, value) };
}
/** @param {number} value the same beside an axis */
export const roughly = (value) => `${formats.twoFigures.format(value)}×`;
/** @param {number} value a fraction */
export const percent = (value) => formats.percent.format(value);
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
/** @param {number} bytes */
export const megabytes = (bytes) => measure(bytes / 1e6, "megabyte", 1);
/** @param {number} seconds a round number of seconds, minutes or hours */
export function duration(seconds) {
  if (seconds < 60) return measure(seconds, "second");
  return seconds < 3600 ? measure(seconds / 60, "minute") : measure(seconds / 3600, "hour");
}
