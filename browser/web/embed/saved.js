// @ts-check
/** What a visit found out, written for the next one. Who only uses what is known need not fetch it. */
import { engine, keyOf, read, SAVE_MS, set } from "./kept.js";
import { pause } from "./implementations.js";

/** @typedef {import("./choose.js").Chooser} Chooser */
/** @typedef {import("./kept.js").Kept} Kept */

/** What is kept for the next visit. @param {Chooser} chooser @returns {Kept} */
export function recordOf({ versions, job, implementations, measuredAt, cells, calls, earlierCalls }) {
  const loads = Object.fromEntries(implementations.map(({ name, loadMs, bytes, copies }) => [name, { ms: loadMs, bytes: Number.isFinite(bytes) ? bytes : 0, copies }]));
  const aside = Object.fromEntries(implementations.filter(({ failed }) => failed).map(({ name, reason = "" }) => [name, reason]));
  return {
    schema: 1, engine: engine(), at: measuredAt || Date.now(), versions, waits: job.waits, inPlace: job.inPlace,
    cells, loads, aside, calls: calls || earlierCalls,
  };
}

/** What was measured; a server's guess is asked for anew. @param {Kept["cells"]} cells */
const measured = (cells) =>
  Object.fromEntries(Object.entries(cells).map(([pattern, sizes]) => [pattern, Object.fromEntries(Object.entries(sizes).filter(([, { verdict }]) => verdict !== "guessed"))]));

/** After what another tab has found meanwhile; nobody waits long for a storage that does not answer. @param {Chooser} chooser */
export function save(chooser) {
  const saving = async () => {
    const newer = await read(chooser.key);
    if (newer && newer.at > chooser.measuredAt) chooser.adopt(newer);
    const kept = recordOf(chooser);
    await set(keyOf(chooser.key), { ...kept, cells: measured(kept.cells) }).catch(() => {}); // full or refused: this visit knows it still
  };
  return Promise.race([saving(), pause(SAVE_MS)]);
}
