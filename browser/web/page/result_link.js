// @ts-check
/**
 * A result as the part of an address behind `#`, which browsers do not send to servers. It is read as a stranger's words.
 * Version 1: `#result=1;contexts;browser's version;function:speedup[:gain],…;browser`. The browser stands last, from a fixed
 * list, so that an address that was cut off is refused.
 */
/** @import { Figure } from "./outcome" */

/** @typedef {{figures: Figure[], contexts: number, browser: string, version: number}} Shared */

const START = "#result=";
const MOST = 8192; // characters
const BROWSERS = new Set(["chromium", "firefox", "webkit", "other"]);
const NAME = /^[a-z][a-z0-9_]{0,39}$/; // as the catalogue has them
const NUMBER = /^\d{1,6}(\.\d{1,6})?$/;

/** @param {number} value five figures */
const short = (value) => String(Number(Math.min(Math.max(value, 1e-4), 999_999).toPrecision(5)));

/** @param {Shared} result */
export function linkOf({ figures, contexts, browser, version }) {
  const list = figures.map(({ name, speedup, gain }) => [name, short(speedup), ...(gain === undefined ? [] : [short(gain)])].join(":"));
  return `${START}1;${contexts};${version};${list.join()};${browser}`;
}

/** @param {string} hash of an address @returns {Shared | "newer" | "broken" | null} null if it speaks of no result */
export function resultIn(hash) {
  if (!hash.startsWith(START)) return null;
  const [format, contexts, version, list, browser, ...more] = decoded(hash.slice(START.length, MOST)).split(";");
  if (/^[2-9]$|^[1-9]\d{1,2}$/.test(format)) return "newer";
  const figures = (list ?? "").split(",").map(figure);
  const names = new Set(figures.map((one) => one?.name));
  const whole = [contexts, version].every((text) => /^\d{1,5}$/.test(text ?? ""));
  if (format !== "1" || more.length || !whole || !BROWSERS.has(browser ?? "")) return "broken";
  if (names.has(undefined) || names.size < figures.length || Number(contexts) < figures.length) return "broken";
  return { figures: figures.flatMap((one) => one ?? []), contexts: Number(contexts), browser: browser ?? "", version: Number(version) };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** @param {string} text @returns {Figure | undefined} undefined if it is none */
function figure(text) {
  const [name, ...numbers] = text.split(":");
  const [speedup, gain] = numbers.map((number) => (NUMBER.test(number) ? Number(number) : 0));
  if (!NAME.test(name) || numbers.length > 2 || !speedup || gain === 0) return undefined;
  return { name, speedup, ...(gain === undefined ? {} : { gain }) };
}
