// @ts-check

/** Without credentials or referrer. @param {string} url @returns {Promise<any>} */
export async function getJson(url) {
  const response = await fetch(url, { credentials: "omit", referrerPolicy: "no-referrer" });
  if (!response.ok) throw new Error(`Fleetune: ${url} answered ${response.status}`);
  return response.json();
}

/**
 * What everyone's model would run here: one answer for all browsers of an engine; this kind's rows are picked locally.
 * @param {string} server its address, or "" @param {any} environment @param {number} [model] announced version
 */
export async function crowdDecisions(server, environment, model) {
  const { browser, simd, relaxedSimd } = environment;
  const engine = browser + (relaxedSimd ? "-relaxedSimd" : simd ? "-simd" : "");
  return own(await getJson(`${server}api/decisions/${engine}${model ? `?model=${model}` : ""}`), environment);
}

/** @param {any} answer @param {any} environment */
export function own({ kinds, ...answer }, environment) {
  const kind = Object.values(environment).join(" ");
  for (const [kernel, pattern, i, row] of kinds[kind] ?? []) answer.kernels[kernel][pattern][i] = row;
  return answer;
}
