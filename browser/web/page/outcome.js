// @ts-check
/** What a run brought: one figure over the better JavaScript, one sentence, and the measurements to take along. */
/** @import { Row, View } from "./view" */
import { element, fill, find } from "../shared/dom.js";
import { environment } from "./first.js";
import { count, say, times } from "../shared/i18n.js";
import { geometricMean, seeded } from "../shared/numbers.js";

const NEAR = 1.03; // a difference that counts, as for choices
const RESAMPLES = 2000;
const JAVASCRIPT = ["js", "js-tuned"];

/** @typedef {{speedup: number, interval: [number, number] | null, kernels: number, contexts: number, other: number, gain: number}} Outcome */

/** @param {Row} row @param {string | undefined} name @returns {number} measured, over plain JavaScript */
const speed = (row, name) => row.candidates[name ?? "js"]?.measured ?? 1;

/**
 * The geometric mean over functions of the choice's speed over the better JavaScript, each function's contexts averaged
 * first; its 95 % interval by a bootstrap over functions (percentiles; Efron & Tibshirani 1993, chapter 13), if there are at
 * least three. `other`: functions that want another build than the usual rule somewhere; `gain`: how much faster that is there.
 * @param {Row[]} rows measured @returns {Outcome | null} null without rows
 */
export function outcome(rows) {
  if (!rows.length) return null;
  /** @type {Map<string, number[]>} */
  const ratios = new Map();
  const others = new Set();
  const gains = [];
  for (const row of rows) {
    const best = Math.max(...JAVASCRIPT.map((name) => row.candidates[name]?.measured ?? 0), 0) || 1;
    ratios.set(row.kernel, [...(ratios.get(row.kernel) ?? []), speed(row, row.choice) / best]);
    const gain = speed(row, row.choice) / speed(row, row.heuristic);
    if (gain < NEAR) continue;
    others.add(row.kernel);
    gains.push(gain);
  }
  const means = [...ratios.values()].map(geometricMean);
  return {
    speedup: geometricMean(means),
    interval: means.length < 3 ? null : interval(means),
    kernels: means.length, contexts: rows.length, other: others.size, gain: gains.length ? geometricMean(gains) : 1,
  };
}

/** @param {number[]} values @returns {[number, number]} */
function interval(values) {
  const random = seeded(1);
  const pick = () => values[Math.floor(random() * values.length)];
  const means = Array.from({ length: RESAMPLES }, () => geometricMean(values.map(pick))).sort((a, b) => a - b);
  return [means[Math.floor(0.025 * RESAMPLES)], means[Math.ceil(0.975 * RESAMPLES) - 1]];
}

/** @param {Row[]} rows */
function records(rows) {
  return rows.flatMap((row) =>
    Object.entries(row.candidates).map(([candidate, { measured = null, spread = null, ok = true }]) => ({
      function: row.kernel, data: row.pattern, size: row.size, candidate, speedup: measured, spread, ok,
      chosen: candidate === row.choice, usual: candidate === row.heuristic,
    })),
  );
}

/** The measurements as text: speedups over plain JavaScript. @param {Row[]} rows @param {"json" | "csv"} kind */
export function exported(rows, kind) {
  const list = records(rows);
  if (kind === "json") return JSON.stringify({ environment, result: outcome(rows), measurements: list }, null, 1);
  // No name holds a comma or a quotation mark: the catalogue refuses them.
  const lines = list.map((record) => Object.values(record).map((value) => value ?? "").join());
  return [Object.keys(list[0]).join(), ...lines, ""].join("\r\n");
}

/** The result's place on the page; call the returned function after every change. @param {View} view */
export function outcomeSection(view) {
  const section = find("#outcome");
  /** @param {"json" | "csv"} kind */
  const save = (kind) => {
    const type = kind === "json" ? "application/json" : "text/csv";
    const href = URL.createObjectURL(new Blob([exported(view.measuredRows(), kind)], { type }));
    element("a", { href, download: `fleetune-result.${kind}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000); // some browsers start the download late
  };
  find("#saveJson").addEventListener("click", () => save("json"));
  find("#saveCsv").addEventListener("click", () => save("csv"));

  /** @returns {string} the sentence; empty while nothing is measured */
  function show() {
    const found = outcome(view.measuredRows());
    section.hidden = !found;
    if (!found) return "";
    find("#outcomeSpeedup").textContent = times(found.speedup);
    find("#outcomeInterval").textContent = found.interval
      ? say("outcome.interval", { low: times(found.interval[0]), high: times(found.interval[1]), contexts: count(found.contexts), kernels: count(found.kernels) })
      : say("outcome.few", { contexts: count(found.contexts), kernels: count(found.kernels) });
    const sentence = say(found.other ? "outcome.other" : "outcome.same", { other: count(found.other), kernels: count(found.kernels), gain: times(found.gain) });
    fill(find("#outcomeSentence"), sentence);
    return say("outcome.said", { speedup: times(found.speedup), sentence });
  }
  return {
    show,
    /** Take the screen; and the focus, where the button that had it is gone. */
    present() {
      section.scrollIntoView({ block: "start" });
      const focused = document.activeElement;
      if (focused === document.body || focused?.matches(":disabled")) find("#outcome-title").focus({ preventScroll: true });
    },
  };
}
