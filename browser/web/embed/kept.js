// @ts-check
/** What was measured here, kept for the next visit: IndexedDB, or the tab's memory where storage is refused. Nothing is believed that does not look right. */
import { databaseOf } from "../shared/database.js";

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

export const SAVE_MS = 500; // so long nothing goes on before something is written

const { transact } = databaseOf();
/** Of a tab without storage. @type {Map<string, unknown>} */
const volatile = new Map();
/** @param {string} key @returns {Promise<unknown>} */
const get = (key) => transact("readonly", (store) => store.get(key), () => volatile.get(key));
/** Resolves once committed. @param {string} key @param {unknown} value @returns {Promise<unknown>} */
export const set = (key, value) => transact("readwrite", (store) => store.put(value, key), () => (volatile.set(key, value), key));

/** The browser and machine as far as timings may depend on them. */
export const engine = () => {
  const { navigator, crossOriginIsolated = false } = /** @type {Partial<typeof globalThis>} */ (globalThis);
  return `${navigator?.userAgent} ${navigator?.hardwareConcurrency} ${crossOriginIsolated}`;
};

/** @param {string} job */
export const keyOf = (job) => `choose/${job}`;

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
  const value = await get(keyOf(job)).catch(() => undefined);
  return isKept(value) ? value : undefined;
}

/** What a page that tries implementations of a job holds while it is alive. @param {string} job */
export const lockOf = (job) => `fleetune choose ${job}`;

/** Who was being tried when a page ended: it hung, perhaps. @param {string} job @returns {Promise<unknown>} a name, unless the page that tries it is alive */
export async function tried(job) {
  const name = await get(`${keyOf(job)}/trying`).catch(() => "");
  const alive = name && (await globalThis.navigator?.locks?.query().catch(() => undefined))?.held?.some((one) => one.name === lockOf(job));
  return alive ? "" : name;
}

/** @param {string} job @param {string} name @returns {Promise<unknown>} */
export const mark = (job, name) => set(`${keyOf(job)}/trying`, name).catch(() => {});
