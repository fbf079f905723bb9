// @ts-check
/** What a server's visitors found out about a job, until it is measured here. Loaded only with `choose(…, { server })`. */
/** @import { EngineDecisions, RootDocument } from "../shared/wire" @import { Described } from "./fleetune" @import { Kept } from "./kept.js" */
import { crowdPath, decisionsFor, getJson, wayTo } from "../shared/api.js";
import { recordOf } from "./saved.js";
import { detectEnvironment } from "../shared/environment.js";

/** @typedef {{patterns: string[], implementations: {name: string, version: string}[], profileSignature: string, sizes: number[]}} Job as it is registered */

const REFERENCE = "js"; // its name there
/** @type {"guessed"} */
export const GUESSED = "guessed"; // the verdict: times are relative to the reference's

/** The server's address, ending in a slash. @param {string} server */
export const addressOf = (server) => new URL(server.endsWith("/") ? server : `${server}/`, globalThis.document?.baseURI).href;

/**
 * Whether the page does the job as it is registered: the same implementations in the same order, and the versions that the page states.
 * @param {Job} job @param {Described} page
 */
export function isSame({ implementations, patterns }, page) {
  const same = (/** @type {Described["implementations"][number]} */ one, /** @type {number} */ i) => one.name === implementations[i]?.name && (one.stated ?? implementations[i].version) === implementations[i].version;
  return page.implementations.length === implementations.length && page.implementations.every(same) && page.patterns.every((one) => !one || patterns.includes(one));
}

/** A job's decisions for this kind of browser. @param {string} server @param {string} name @param {RootDocument} [keys] @returns {Promise<{job: Job, rows: import("../shared/wire").DecisionTables[string]}>} */
export async function askedFor(server, name, keys) {
  const environment = detectEnvironment();
  const address = addressOf(server);
  const read = (await wayTo(address, keys))?.read ?? getJson;
  const answer = /** @type {EngineDecisions & {job: Job}} */ (await read(address + crowdPath(environment, `?job=${encodeURIComponent(name)}`), true));
  const { job } = answer;
  return { job, rows: decisionsFor(answer, environment).kernels[name] };
}

/**
 * Follow a server's guess while nothing is known here: as something that was measured long ago, and is measured as soon as there is time.
 * @param {import("./choose.js").Chooser} chooser @param {string} server @param {RootDocument} [keys]
 */
export async function follow(chooser, server, keys) {
  if (chooser.measuredAt) return;
  const page = chooser.described();
  const { job, rows } = await askedFor(server, page.name, keys);
  if (!isSame(job, page)) throw new Error(`Fleetune: ${server} knows ${page.name} with other implementations, versions or patterns`);
  const [reference] = page.implementations;
  const named = (/** @type {string} */ one) => (one === REFERENCE ? reference.name : one);
  /** @type {Kept["cells"]} */
  const cells = {};
  for (const pattern of page.patterns) {
    const known = rows[pattern || job.patterns[0]].filter(({ candidates }) => Object.keys(candidates).length);
    cells[pattern] = Object.fromEntries(
      known.map(({ size, choice, candidates }) => {
        const times = Object.fromEntries(Object.entries(candidates).map(([one, speedup]) => [named(one), 1 / speedup]));
        return [size, { times, choice: named(choice), verdict: GUESSED }];
      }),
    );
  }
  if (chooser.measuredAt || !Object.values(cells).some((sizes) => Object.keys(sizes).length)) return;
  chooser.adopt({ ...recordOf(chooser), at: 1, cells, loads: {}, aside: {} });
  await chooser.prepare();
}
