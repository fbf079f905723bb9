// @ts-check
/** What a visit found out, written for the next one. Who only uses what is known need not fetch it. */
import { isKept, keep, read, SAVE_MS } from "./kept.js";
import { pause } from "./implementations.js";

/** @typedef {import("./choose.js").Chooser} Chooser */
/** @typedef {import("./kept.js").Job} Job */
/** @typedef {import("./kept.js").Kept} Kept */
/** @typedef {import("./measure.js").Cell} Cell */

/** What is kept for the next visit. @param {Chooser} chooser @returns {Kept} */
export function recordOf({ key, versions, job, implementations, measuredAt, cells, calls, earlierCalls }) {
  const loads = Object.fromEntries(implementations.map(({ name, loadMs, bytes, copies }) => [name, { ms: loadMs, bytes: Number.isFinite(bytes) ? bytes : 0, copies }]));
  const aside = Object.fromEntries(implementations.filter(({ failed }) => failed).map(({ name, reason = "" }) => [name, reason]));
  return {
    schema: 1, key, at: measuredAt || Date.now(), versions, waits: job.waits, inPlace: job.inPlace,
    cells, loads, aside, calls: calls || earlierCalls,
  };
}

/** What a page that tries implementations of a job holds. @param {string} key */
export const lockOf = (key) => `fleetune choose ${key}`;

/** What was measured; a server's guess is asked for anew. @param {Kept["cells"]} cells */
const measured = (cells) =>
  Object.fromEntries(Object.entries(cells).map(([pattern, sizes]) => [pattern, Object.fromEntries(Object.entries(sizes).filter(([, { verdict }]) => verdict !== "guessed"))]));

/**
 * What holds of a record with some other implementations: a page that changes one keeps what it knows of the rest.
 * @param {Kept} kept @param {Kept["versions"]} versions @returns {Kept | undefined}
 */
function heldOf(kept, versions) {
  const holds = (/** @type {string} */ name) => versions[name] !== undefined && versions[name] === kept.versions[name];
  const [reference] = Object.keys(versions);
  if (!holds(reference) || Object.keys(kept.versions)[0] !== reference) return undefined; // what results were compared with
  const those = (/** @type {Record<string, any>} */ byName) => Object.fromEntries(Object.entries(byName).filter(([name]) => holds(name)));
  const cellOf = (/** @type {Cell} */ cell) => ({ ...cell, times: those(cell.times), choice: holds(cell.choice) ? cell.choice : reference });
  const cells = Object.fromEntries(Object.entries(kept.cells).map(([pattern, sizes]) => [pattern, Object.fromEntries(Object.entries(sizes).map(([size, cell]) => [size, cellOf(cell)]))]));
  return { ...kept, cells, loads: those(kept.loads), aside: those(kept.aside) };
}

/**
 * What is known of a job where its own record is none, or says that a page ended while it tried someone.
 * @param {Job} job @param {any[]} all that is kept under its name @param {any} mine its own, if any @returns {Promise<[kept?: Kept, trying?: string]>}
 */
export async function recalled({ key, versions }, all, mine) {
  const [options] = key.split(" ");
  const like = all.filter((one) => isKept(one) && one.key.startsWith(`${options} `)).map((one) => heldOf(one, versions));
  const alive = mine?.trying && (await globalThis.navigator?.locks?.query().catch(() => undefined))?.held?.some((/** @type {LockInfo} */ one) => one.name === lockOf(key));
  return [isKept(mine) ? mine : like.find(Boolean), alive ? undefined : mine?.trying];
}

/** Take over what another tab has found meanwhile. @param {Chooser} chooser @returns {Promise<boolean>} whether there was something */
export async function catchUp(chooser) {
  const [kept] = await read(chooser);
  const newer = kept?.key === chooser.key && kept.at > chooser.measuredAt;
  if (newer) chooser.adopt(kept);
  return newer;
}

/** After what another tab has found meanwhile; nobody waits long for a storage that does not answer. @param {Chooser} chooser */
export function save(chooser) {
  const saving = async () => {
    await catchUp(chooser);
    const kept = recordOf(chooser);
    await keep(chooser, { ...kept, cells: measured(kept.cells) }).catch(() => {}); // full or refused: this visit knows it still
  };
  return Promise.race([saving(), pause(SAVE_MS)]);
}
