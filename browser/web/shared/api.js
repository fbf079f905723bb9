// @ts-check
/** @import { Decisions, EngineDecisions, Environment } from "./wire" */

const PATIENCE = 10_000;

/** Ask without credentials or referrer. `kept`: what is cached stands in for a server that is away. @param {string} url @param {boolean} [kept] */
export async function ask(url, kept) {
  /** @param {RequestCache} [cache] */
  const get = (cache) => fetch(url, { cache, credentials: "omit", referrerPolicy: "no-referrer", signal: kept ? AbortSignal.timeout(PATIENCE) : null });
  const response = await (kept ? get().catch(() => get("force-cache")) : get());
  if (!response.ok) throw new Error(`Fleetune: ${url} answered ${response.status}`);
  return response;
}

/** @type {(url: string, kept?: boolean) => Promise<unknown>} */
export const getJson = async (url, kept) => (await ask(url, kept)).json();

/**
 * Where an engine's decisions are; the page picks its own rows from them (`decisionsFor`).
 * @param {Environment} environment @param {number | "first"} [model] announced version, or the server's oldest
 */
export function crowdPath({ browser, simd, relaxedSimd }, model) {
  const engine = browser + (relaxedSimd ? "-relaxedSimd" : simd ? "-simd" : "");
  return `api/decisions/${engine}${model ? `?model=${model}` : ""}`;
}

/**
 * What the public model would run here.
 * @param {string} server its address, or "" @param {Environment} environment @param {number | "first"} [model] @param {boolean} [kept]
 */
export async function crowdDecisions(server, environment, model, kept) {
  return decisionsFor(/** @type {EngineDecisions} */ (await getJson(server + crowdPath(environment, model), kept)), environment);
}

/** @param {EngineDecisions} answer @param {Environment} environment @returns {Decisions} */
export function decisionsFor({ kinds, ...answer }, environment) {
  const kind = Object.values(environment).join(" ");
  for (const [kernel, pattern, i, row] of kinds[kind] ?? []) answer.kernels[kernel][pattern][i] = row;
  return answer;
}
