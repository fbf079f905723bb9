// @ts-check
/** What is wrong with what `choose` was given, in words. Loaded only when something is. */

const MOST_MS = 2 ** 31 - 1; // that a timer can wait

/** Any value, so that one line shows it. @param {any} value @returns {string} */
function shown(value) {
  try {
    if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "function") return `a function${value.name ? ` (${value.name})` : ""}`;
    if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : String(value);
    if (Array.isArray(value)) return value.length ? "a list" : "an empty list";
    return `an object (${Object.prototype.toString.call(value).slice(8, -1)})`;
  } catch {
    return "something that cannot be shown";
  }
}

/** @param {any} value @param {...string} types */
const isOf = (value, ...types) => types.includes(typeof value) && value !== null;
/** @param {any} value */
const isAddress = (value) => typeof value === "string" || typeof value?.href === "string";
/** @param {any} value */
const isCount = (value) => typeof value === "number" && value >= 0;
/** What an object has by itself would be mistaken for it. @param {any} value */
const isName = (value) => typeof value === "string" && !(value in Object.prototype);
/** @param {any} value @param {(one: any) => boolean} fits */
const isList = (value, fits) => Array.isArray(value) && value.length > 0 && Array.from(value).every(fits);

/** @type {Record<string, [(value: any) => boolean, string]>} what each option may be, if it is there */
const OPTIONS = {
  size: [(one) => isOf(one, "function"), "a function"],
  input: [(one) => isOf(one, "function"), "a function"],
  same: [(one) => isOf(one, "function"), "a function"],
  pattern: [(one) => isOf(one, "function"), "a function"],
  sizes: [(all) => isList(all, (one) => isCount(one) && one < Infinity), "a list of finite numbers from 0 on"],
  patterns: [(all) => isList(all, isName), "a list of names, and none that objects have by themselves"],
  measure: [(one) => ["idle", "calls", "never"].includes(one), '"idle", "calls" or "never"'],
  budgetMs: [(one) => isCount(one) && one > 0 && one <= MOST_MS, `a number of milliseconds above 0, at most ${MOST_MS}`],
  expect: [(one) => isOf(one, "object") && (one.calls === undefined || isCount(one.calls)), "{ calls }, a number from 0 on"],
  async: [(one) => isOf(one, "boolean"), "true or false"],
  version: [(one) => isOf(one, "string"), "a text"],
  worker: [isAddress, "an address: a text or a URL"],
  server: [isAddress, "an address: a text or a URL"],
  keys: [(one) => isOf(one, "object"), "what the server answers at roots/newest"],
};
/** @type {Record<string, string>} what each of a list may be */
const ITEMS = { sizes: "a finite number from 0 on", patterns: "a name that objects do not have by themselves" };
/** @type {typeof OPTIONS} of an implementation */
const PARTS = {
  load: [(one) => isOf(one, "function"), "a function"],
  supported: OPTIONS.size,
  dispose: OPTIONS.size,
  bytes: [isCount, "a number of bytes from 0 on"],
  async: OPTIONS.async,
  version: OPTIONS.version,
};

/** What cannot even be looked at does not fit. @param {(value: any) => unknown} fits @param {unknown} value */
function isFit(fits, value) {
  try {
    return value === undefined || fits(value);
  } catch {
    return false;
  }
}

/** @param {string} what @param {unknown} value @param {string} wanted */
function refused(what, value, wanted) {
  const Kind = typeof value === "number" && wanted.includes("number") ? RangeError : TypeError;
  return new Kind(`Fleetune: ${what} must be ${wanted}, not ${shown(value)}`);
}

/** What is wrong with what `measure` was given. @param {import("./choose.js").Chooser} chooser @param {any} how @returns {Error | undefined} */
export function wrongMeasure({ name, options }, how) {
  if (!isOf(how, "object")) return refused(`what measure of ${shown(name)} is given`, how, "{ budgetMs, signal }");
  const [fits, wanted] = OPTIONS.budgetMs;
  if (!isFit(fits, how.budgetMs)) return refused("budgetMs of measure", how.budgetMs, wanted);
  if (how.signal !== undefined && typeof how.signal?.throwIfAborted !== "function") return refused("signal of measure", how.signal, "an AbortSignal");
  return options.input ? undefined : new TypeError(`Fleetune: ${shown(name)} has no input to measure with`);
}

/**
 * The error for the first thing that is wrong; undefined if nothing is.
 * @param {any} name @param {any} given @param {any} options @returns {Error | undefined}
 */
export function wrong(name, given, options) {
  const job = typeof name === "string" ? shown(name) : "…";
  if (typeof name !== "string" || !name) return refused("the first argument of choose, the job's name,", name, "a text that is not empty");
  if (!isOf(given, "object")) return refused(`the implementations of ${job}`, given, "an object with a function for each name");
  if (!isOf(options, "object")) return refused(`the options of ${job}`, options, "an object");
  const all = Object.entries(given);
  if (!all.length) return new TypeError(`Fleetune: choose(${job}) needs at least one implementation`);
  for (const [one, it] of all) {
    const what = `the implementation ${shown(one)} of ${job}`;
    if (!one || !isName(one)) return new TypeError(`Fleetune: ${what} must have another name: ${one ? "objects have that one by themselves" : "that one is empty"}`);
    if (/^\d+$/.test(one)) return new TypeError(`Fleetune: ${what} must have another name: objects put numbers first, and the first is the reference`);
    if (!isOf(it, "function", "object")) return refused(what, it, "a function or have one named load");
    if (typeof it === "function") continue;
    if (typeof it.load !== "function") return new TypeError(`Fleetune: ${what} must be a function or have one named load; its load is ${shown(it.load)}`);
    for (const [part, [fits, wanted]] of Object.entries(PARTS)) {
      if (!isFit(fits, it[part])) return refused(`${part} of ${what}`, it[part], wanted);
    }
  }
  for (const [option, [fits, wanted]] of Object.entries(OPTIONS)) {
    const value = options[option];
    if (isFit(fits, value)) continue;
    const broken = ITEMS[option] && isFit(Array.isArray, value) ? Array.from(value).findIndex((one) => !fits([one])) : -1;
    return broken < 0 ? refused(`${option} of ${job}`, value, wanted) : refused(`item ${broken} of ${option} of ${job}`, value[broken], ITEMS[option]);
  }
  if (options.measure === "idle" && !options.input) return new TypeError(`Fleetune: ${job} needs input to measure with`);
  return undefined;
}
