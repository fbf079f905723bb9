// @ts-check
/** @import { Decisions, EngineDecisions, Environment, RootDocument, Way } from "./wire" */

const PATIENCE = 10_000;

/** Without credentials or referrer. `kept`: the cache stands in for an absent server. @param {string} url @param {boolean} [kept] @param {string} [integrity] */
export async function ask(url, kept, integrity) {
  /** @param {RequestCache} [cache] */
  const get = (cache) => fetch(url, { cache, integrity, credentials: "omit", referrerPolicy: "no-referrer", signal: kept ? AbortSignal.timeout(PATIENCE) : null });
  const response = await (kept ? get().catch(async () => Object.assign(await get("force-cache"), { late: true })) : get());
  if (!response.ok) throw new Error(`Fleetune: ${url} answered ${response.status}`);
  return response;
}

/** @type {(url: string, kept?: boolean) => Promise<unknown>} */
export const getJson = async (url, kept) => (await ask(url, kept)).json();

/** Fails in the end what cannot be aborted. @template T @param {Promise<T>} promise @returns {Promise<T>} */
export const within = (promise, signal = AbortSignal.timeout(PATIENCE)) =>
  Promise.race([promise, new Promise((_, fail) => (signal.onabort = () => fail(signal.reason)))]);

/** Where an engine's decisions are; the page picks its own rows from them (`decisionsFor`). @param {Environment} environment @param {string} [query] `?model=` an announced version or `first`, `?kernel=` only one's, or none's */
export const crowdPath = ({ browser, simd, relaxedSimd }, query = "") => `api/decisions/${browser}${relaxedSimd ? "-relaxedSimd" : simd ? "-simd" : ""}${query}`;

/** @param {string} server its address, or "" @param {Environment} environment @param {string} [query] @param {boolean} [kept] @param {Way} [way] */
export async function crowdDecisions(server, environment, query, kept, way) {
  return decisionsFor(/** @type {EngineDecisions} */ (await (way?.read ?? getJson)(server + crowdPath(environment, query), kept)), environment);
}

/** Takes what a server sends by its keys, unless this script is the server's too. @param {string} server @param {RootDocument} [keys] */
export const wayTo = async (server, keys) => (keys || !`${import.meta.url}`.startsWith(server) ? (await import("./trust.js")).trusted(server, keys, ask) : undefined);

/** By this kind of browser; what was learned before reports told the architecture stands for both. @param {EngineDecisions} answer @param {Environment} environment @returns {Decisions} */
export function decisionsFor({ kinds, ...answer }, { arch, ...environment }) {
  const kind = Object.values(environment).join(" ");
  for (const [kernel, pattern, i, row] of kinds[`${kind} ${arch}`] ?? kinds[kind] ?? []) answer.kernels[kernel][pattern][i] = row;
  return answer;
}
