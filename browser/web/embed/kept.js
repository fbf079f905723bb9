// @ts-check
/** What was measured here, kept for the next visit: IndexedDB, or the tab's memory where storage is refused. Nothing is believed that does not look right. */
import { get, set } from "../shared/storage.js";

/** @typedef {import("./measure.js").Cell} Cell */
/**
 * @typedef {object} Kept
 * @property {1} schema
 * @property {string} engine the browser that measured
 * @property {number} at when, ms since 1970
 * @property {Record<string, string>} versions of the implementations, the reference first
 * @property {boolean} waits calls give promises
 * @property {boolean} inPlace the job changes its arguments
 * @property {Record<string, Record<string, Cell>>} cells by pattern and size
 * @property {Record<string, {ms: number, bytes: number, copies: boolean}>} loads
 * @property {Record<string, string>} aside why implementations are not used
 * @property {number} calls of one visit
 */

const MOST_AGE = 30 * 86_400_000; // ms; what is older is used, and measured again

/** The browser and machine as far as timings may depend on them. */
export const engine = () => {
  const { navigator, crossOriginIsolated = false } = /** @type {Partial<typeof globalThis>} */ (globalThis);
  return `${navigator?.userAgent} ${navigator?.hardwareConcurrency} ${crossOriginIsolated}`;
};

/** @param {string} job */
const keyOf = (job) => `choose/${job}`;

/** @param {any} value @param {(one: any) => boolean} fits @returns {boolean} */
const each = (value, fits) => typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(fits);
/** @param {any} value */
const isTime = (value) => Number.isFinite(value) && value > 0;
/** @param {any} value */
const isText = (value) => typeof value === "string";
/** @param {any} cell */
const isCell = (cell) => each(cell?.times, isTime) && cell.choice in cell.times && isText(cell.verdict);

/** @param {any} value @returns {value is Kept} */
export function isKept(value) {
  if (value?.schema !== 1 || !isText(value.engine) || !(value.at > 0) || !(value.calls >= 0)) return false;
  if (!each(value.versions, isText) || !each(value.aside, isText)) return false;
  if (!each(value.loads, (one) => one?.ms >= 0 && one.bytes >= 0)) return false;
  const [reference] = Object.keys(value.versions);
  return each(value.cells, (sizes) => each(sizes, (cell) => isCell(cell) && reference in cell.times) && Object.keys(sizes).every((size) => Number(size) >= 0));
}

/** @param {string} job @returns {Promise<Kept | undefined>} */
export async function read(job) {
  const value = await get(keyOf(job), true).catch(() => undefined);
  return isKept(value) ? value : undefined;
}

/** Who is being tried: a page that hangs ends there, and the next visit knows why. @param {string} job @returns {Promise<string>} "" if nobody is */
export const tried = (job) => get(`${keyOf(job)}/trying`, true).then((name) => (isText(name) ? name : ""), () => "");

/** @param {string} job @param {string} name @returns {Promise<unknown>} */
export const mark = (job, name) => set(`${keyOf(job)}/trying`, name).catch(() => {});

/** What was measured; a server's guess is asked for anew. @param {Kept["cells"]} cells */
const measured = (cells) =>
  Object.fromEntries(Object.entries(cells).map(([pattern, sizes]) => [pattern, Object.fromEntries(Object.entries(sizes).filter(([, { verdict }]) => verdict !== "guessed"))]));

/** @param {string} job @param {Kept} kept @returns {Promise<boolean>} whether it was written */
export const write = (job, kept) => set(keyOf(job), { ...kept, cells: measured(kept.cells) }).then(() => true, () => false);

/** Whether what was measured then need not be measured again. @param {number} at */
export const isFresh = (at) => Date.now() >= at && Date.now() - at < MOST_AGE;
