// @ts-check
/** What a page's kernels measured here, kept for the next visit, which follows it without Python. Loaded only where something was measured. */
/** @import { Decision, DecisionTables, Environment } from "../shared/wire" */
import { storageOf } from "../shared/storage.js";

/** @typedef {{kernel: string, pattern: string, size: number, row: Decision}} Confirmed `pattern` with its copy marker */
/** @typedef {{schema: 1, place: string, at: number, measured: Confirmed[], calls: Confirmed[]}} Kept `measured` alone, by Python; `calls` as the page made them, which outrank it */

const KEY = "confirmed";
const MOST_AGE = 30 * 86_400_000; // ms

/** Where times hold: this kind of browser and this build of the kernels. @param {Environment} environment @param {string} root */
const placeOf = (environment, root) => `${Object.values(environment).join(" ")} ${new URL(root).pathname}`;
/** @param {Confirmed} one */
const keyOf = ({ kernel, pattern, size }) => `${kernel} ${pattern} ${size}`;

/** @param {any} one */
const isRow = (one) =>
  [one?.kernel, one?.pattern, one?.row?.choice, one?.row?.why, one?.row?.source].every((text) => typeof text === "string") &&
  [one.size, one.row.size, one.row.log2Size, one.row.speedup, one.row.low, one.row.high].every((value) => Number.isFinite(value) && value >= 0);

/** Nothing is believed that does not look right. @param {any} value @param {string} place @returns {value is Kept} */
const isKept = (value, place) =>
  value?.schema === 1 && value.place === place && Date.now() >= value.at && Date.now() - value.at < MOST_AGE &&
  [value.measured, value.calls].every((rows) => Array.isArray(rows) && rows.every(isRow));

/** The tables with the confirmed decisions. @param {DecisionTables} tables @param {Confirmed[]} rows */
export function withConfirmed(tables, rows) {
  const changed = { ...tables };
  for (const { kernel, pattern, size, row } of rows) {
    if (!changed[kernel]?.[pattern]) continue; // removed meanwhile, or not asked for
    changed[kernel] = { ...changed[kernel], [pattern]: changed[kernel][pattern].map((old) => (old.size === size ? row : old)) };
  }
  return changed;
}

/**
 * Puts what an earlier visit measured into decisions.
 * @param {unknown} kept @param {Environment} environment @param {string} root @returns {(tables: DecisionTables) => DecisionTables}
 */
export function recalled(kept, environment, root) {
  const rows = isKept(kept, placeOf(environment, root)) ? [...kept.measured, ...kept.calls] : [];
  return (tables) => withConfirmed(tables, rows);
}

/**
 * Keep what was measured; the confirmed calls of this and of earlier visits.
 * @param {string} server @param {Environment} environment @param {string} root @param {DecisionTables} tables Python's @param {Confirmed[]} rows
 */
export async function keep(server, environment, root, tables, rows) {
  const place = placeOf(environment, root);
  const storage = storageOf(server);
  const kept = await storage.get(KEY).catch(() => undefined);
  const calls = [...new Map([...(isKept(kept, place) ? kept.calls : []), ...rows].map((one) => [keyOf(one), one])).values()];
  const measured = Object.entries(tables).flatMap(([kernel, patterns]) =>
    Object.entries(patterns).flatMap(([pattern, all]) => all.filter(({ source }) => source === "measured").map((row) => ({ kernel, pattern, size: row.size, row }))),
  );
  await storage.set(KEY, { schema: 1, place, at: Date.now(), measured, calls }).catch(() => {}); // full: it holds until the page ends
  return calls;
}
