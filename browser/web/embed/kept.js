// @ts-check
/** What was measured here, kept for the next visit: IndexedDB, or the tab's memory where storage is refused. Nothing is believed that does not look right. */
import { databaseOf } from "../shared/database.js";

/** @typedef {import("./measure.js").Cell} Cell */
/**
 * @typedef {object} Kept
 * @property {1} schema
 * @property {string} key of the job in the browser that measured
 * @property {number} at when, ms since 1970
 * @property {Record<string, string>} versions of the implementations, the reference first
 * @property {boolean} waits calls give promises
 * @property {boolean} inPlace the job changes its arguments
 * @property {Record<string, Record<string, Cell>>} cells by pattern and size
 * @property {Record<string, {ms: number, bytes: number, copies: boolean}>} loads
 * @property {Record<string, string>} aside why implementations are not used
 * @property {number} calls of one visit
 * @property {string} [trying] who was tried last, until that went well
 */

/**
 * Jobs of one name are kept side by side.
 * @typedef {object} Job
 * @property {string} name
 * @property {string} key two words: what stands for its options and the browser, and what stands for its implementations
 * @property {Record<string, string>} versions of these, the reference first
 */

export const SAVE_MS = 500; // so long nothing goes on before something is written
const MOST = 8; // jobs of one name: a page that changes leaves no more behind

const { transact } = databaseOf();
/** Of a tab without storage. @type {Map<string, any>} */
const volatile = new Map();

/** The browser and machine as far as timings may depend on them. */
export const engine = () => {
  const { navigator, crossOriginIsolated = false } = /** @type {Partial<typeof globalThis>} */ (globalThis);
  return `${navigator?.userAgent} ${navigator?.hardwareConcurrency} ${crossOriginIsolated}`;
};

/** What is kept under a name, whatever was found there. @param {any} list @returns {any[]} */
const listed = (list) => (Array.isArray(list) ? list : []);
/** @param {string} name */
const placeOf = (name) => `choose/${name}`;
/** All that is kept under a name. @param {string} name */
export const listOf = async (name) => listed(await transact("readonly", (store) => store.get(placeOf(name)), () => volatile.get(name)).catch(() => undefined));

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
  if (value?.schema !== 1 || !isText(value.key) || !(value.at > 0) || !(value.calls >= 0)) return false;
  if (!each(value.versions, isText) || !each(value.aside, isText)) return false;
  if (!each(value.loads, (one) => one?.ms >= 0 && one.bytes >= 0)) return false;
  const [reference] = Object.keys(value.versions);
  return each(value.cells, (sizes) => each(sizes, (cell) => isCell(cell) && reference in cell.times) && Object.keys(sizes).every((size) => Number(size) >= 0));
}

/**
 * What is known of a job, and who was being tried when a page ended: it hung, perhaps. Where it takes more than a look, saved.js looks.
 * @param {Job} job @returns {Promise<[kept?: Kept, trying?: string]>}
 */
export async function read(job) {
  const all = await listOf(job.name);
  const mine = all.find((one) => one?.key === job.key);
  if (isKept(mine) && !mine.trying) return [mine];
  return all.length ? import("./saved.js").then(({ recalled }) => recalled(job, all, mine)).catch(() => []) : [];
}

/** Resolves once committed. The newest comes first. @param {Job} job @param {Partial<Kept>} change */
export function keep({ name, key }, change) {
  const changed = (/** @type {any} */ value) => {
    const mine = listed(value).find((one) => one?.key === key);
    return [{ ...mine, key, ...change }, ...listed(value).filter((one) => one !== mine)].slice(0, MOST);
  };
  return transact(
    "readwrite",
    (store) => {
      const asked = store.get(placeOf(name));
      asked.onsuccess = () => store.put(changed(asked.result), placeOf(name)); // in one transaction, for other jobs write here too
      return asked;
    },
    () => volatile.set(name, changed(volatile.get(name))),
  );
}

/** @param {Job} job @param {string} trying */
export const mark = (job, trying) => keep(job, { trying }).catch(() => {});
