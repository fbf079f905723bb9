// @ts-check

/** Without credentials or referrer. @param {string} url @returns {Promise<any>} */
export async function getJson(url) {
  const response = await fetch(url, { credentials: "omit", referrerPolicy: "no-referrer" });
  if (!response.ok) throw new Error(`Fleetune: ${url} answered ${response.status}`);
  return response.json();
}

/**
 * Where everyone's choices are: one answer an engine; this kind's rows are picked here (`own`).
 * @param {any} environment @param {number | "first"} [model] announced version, or the oldest that the server has
 */
export function crowdPath({ browser, simd, relaxedSimd }, model) {
  const engine = browser + (relaxedSimd ? "-relaxedSimd" : simd ? "-simd" : "");
  return `api/decisions/${engine}${model ? `?model=${model}` : ""}`;
}

/**
 * What everyone's model would run here.
 * @param {string} server its address, or "" @param {any} environment @param {number | "first"} [model]
 */
export async function crowdDecisions(server, environment, model) {
  return own(await getJson(server + crowdPath(environment, model)), environment);
}

/** @param {any} answer @param {any} environment */
export function own({ kinds, ...answer }, environment) {
  const kind = Object.values(environment).join(" ");
  for (const [kernel, pattern, i, row] of kinds[kind] ?? []) answer.kernels[kernel][pattern][i] = row;
  return answer;
}
