// @ts-check
/** What a run brought: one figure over the better JavaScript, one sentence, and the measurements to take along. */
/** @import { Row } from "./view" */
import { environment } from "./first.js";
import { count, say, times } from "../shared/i18n.js";
import { geometricMean, seeded } from "../shared/numbers.js";

const NEAR = 1.03; // a difference that counts, as for choices
const RESAMPLES = 2000;
const JAVASCRIPT = ["js", "js-tuned"];

/**
 * What was measured of one function, its contexts averaged. `speedup`: of the choice over the better JavaScript; `gain`: over
 * the usual rule's build, where the choice is another that counts.
 * @typedef {{name: string, speedup: number, gain?: number}} Figure
 * @typedef {{speedup: number, interval: [number, number] | null, kernels: number, contexts: number, other: number, gain: number}} Outcome
 */

/** @param {Row} row @param {string | undefined} name @returns {number} measured, over plain JavaScript */
const speed = (row, name) => row.candidates[name ?? "js"]?.measured ?? 1;

/**
 * Of the rows that the result is made of: they are the same in every run, so that two runs agree.
 * @param {Row[]} rows measured @returns {Figure[]}
 */
export function figures(rows) {
  /** @type {Map<string, {ratios: number[], gains: number[]}>} */
  const functions = new Map();
  for (const row of rows.filter(({ headline }) => headline)) {
    const { ratios, gains } = functions.get(row.kernel) ?? { ratios: [], gains: [] };
    functions.set(row.kernel, { ratios, gains });
    const best = Math.max(...JAVASCRIPT.map((name) => row.candidates[name]?.measured ?? 0), 0) || 1;
    ratios.push(speed(row, row.choice) / best);
    const gain = speed(row, row.choice) / speed(row, row.heuristic);
    if (gain >= NEAR) gains.push(gain);
  }
  return [...functions].map(([name, { ratios, gains }]) => ({
    name, speedup: geometricMean(ratios), ...(gains.length ? { gain: geometricMean(gains) } : {}),
  }));
}

/**
 * The geometric mean over functions; its 95 % interval by a bootstrap over functions (percentiles; Efron & Tibshirani 1993,
 * chapter 13), if there are at least three. `other`: functions that want another build than the usual rule somewhere; `gain`:
 * how much faster that is there.
 * @param {Figure[]} list @param {number} contexts behind it @returns {Outcome | null} null without functions
 */
export function outcome(list, contexts) {
  if (!list.length) return null;
  const means = list.map(({ speedup }) => speedup);
  const gains = list.flatMap(({ gain }) => gain ?? []);
  return {
    speedup: geometricMean(means),
    interval: means.length < 3 ? null : interval(means),
    kernels: means.length, contexts, other: gains.length, gain: gains.length ? geometricMean(gains) : 1,
  };
}

/** @param {Row[]} rows measured */
export const outcomeOf = (rows) => outcome(figures(rows), rows.filter(({ headline }) => headline).length);

/** What a result says, in the page's language. @param {Outcome} found */
export function outcomeWords(found) {
  const amounts = { contexts: count(found.contexts), kernels: count(found.kernels) };
  const between = found.interval && { low: times(found.interval[0]), high: times(found.interval[1]) };
  return {
    speedup: times(found.speedup),
    interval: between ? say("outcome.interval", { ...between, ...amounts }) : say("outcome.few", amounts),
    sentence: say(found.other ? "outcome.other" : "outcome.same", { ...amounts, other: count(found.other), gain: times(found.gain) }),
  };
}

/** @param {number[]} values @returns {[number, number]} */
function interval(values) {
  const random = seeded(1);
  const pick = () => values[Math.floor(random() * values.length)];
  const means = Array.from({ length: RESAMPLES }, () => geometricMean(values.map(pick))).sort((a, b) => a - b);
  return [means[Math.floor(0.025 * RESAMPLES)], means[Math.ceil(0.975 * RESAMPLES) - 1]];
}

/** @type {Record<string, string>} */
const BROWSERS = { chromium: "Chromium", firefox: "Firefox", webkit: "WebKit" };

/** @param {string} browser as in environments @param {number} version 0 if it is not known */
export const browserName = (browser, version) => `${BROWSERS[browser] ?? say("browser.other")} ${version || ""}`.trim();

/** @param {Row[]} rows */
function records(rows) {
  return rows.flatMap((row) =>
    Object.entries(row.candidates).map(([candidate, { measured = null, spread = null, ok = true }]) => ({
      function: row.kernel, data: row.pattern, size: row.size, candidate, speedup: measured, spread, ok,
      chosen: candidate === row.choice, usual: candidate === row.heuristic, headline: row.headline ?? false,
    })),
  );
}

/** The measurements as text: speedups over plain JavaScript. @param {Row[]} rows @param {"json" | "csv"} kind */
export function exported(rows, kind) {
  const list = records(rows);
  if (kind === "json") return JSON.stringify({ environment, result: outcomeOf(rows), measurements: list }, null, 1);
  // No name holds a comma or a quotation mark: the catalogue refuses them.
  const lines = list.map((record) => Object.values(record).map((value) => value ?? "").join());
  return [Object.keys(list[0]).join(), ...lines, ""].join("\r\n");
}
