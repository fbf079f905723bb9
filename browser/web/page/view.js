// @ts-check
/** What the page knows of every context: the model's predictions, replaced by measurements as they come. */
/** @import { Result } from "../shared/operations" @import { Decision, Decisions } from "../shared/wire" */
import { geometricMean } from "../shared/numbers.js";

/**
 * @typedef {{measured?: number, predicted?: number, spread?: number, ok?: boolean}} Cell speedups over JavaScript
 * @typedef {object} Row
 * @property {string} kernel
 * @property {string} pattern data pattern; ends in `+copied` where every call copies its arrays
 * @property {number} size elements
 * @property {Record<string, Cell>} candidates JavaScript first
 * @property {string} choice
 * @property {Result["source"]} source
 * @property {number} expected speedup of the choice
 * @property {[number, number]} [interval] 95 % interval of a predicted choice's speedup
 * @property {string} [why] one sentence
 * @property {string} [first] the choice before anything was measured here
 * @property {string} [before] the choice of the first model, without reports
 * @property {string} [heuristic] the capability heuristic's choice
 * @property {boolean} measured
 * @property {boolean} [headline] whether the result is made of it
 *
 * A model's choice that a newer model replaced. `gain`: the new one's speed over the old one's, as measured here or, where
 * it was not, as the newer model predicts; undefined where neither is known.
 * @typedef {{kernel: string, pattern: string, size: number, from: string, to: string, gain?: number, measured: boolean}} ChoiceChange
 */

/** Rows by kernel, then by pattern, ordered by size. */
export class View {
  /** @type {Map<string, Map<string, Row[]>>} */
  #kernels = new Map();
  version = 0;
  /** The version whose choices the rows have as `before`; 0 if the server has none, undefined while that is not known. */
  /** @type {number | undefined} */
  comparedWith;
  /** @type {Decisions["kernels"]} */
  #earlier = {};

  /** Take the model's predictions; measured rows keep their measurements. @param {Decisions} decisions @returns {{changes: ChoiceChange[], total: number}} the choices that differ from before, of how many */
  predict(decisions) {
    this.version = decisions.version;
    /** @type {ChoiceChange[]} */
    const changes = [];
    let total = 0;
    for (const [kernel, patterns] of Object.entries(decisions.kernels)) {
      for (const [pattern, entries] of Object.entries(patterns)) {
        for (const entry of entries) {
          const before = this.find(kernel, pattern, entry.size);
          total += 1;
          const old = before && (before.measured ? before.first : before.choice);
          if (before && old && old !== entry.choice) changes.push(choiceChange(before, old, entry));
          if (before?.measured) {
            // The measurement stays; the prediction beside it is the new model's.
            for (const [name, predicted] of Object.entries(entry.candidates)) {
              if (before.candidates[name]) before.candidates[name].predicted = predicted;
            }
            before.first = entry.choice;
            continue;
          }
          const candidates = Object.fromEntries(
            Object.entries(entry.candidates).map(([name, predicted]) => [name, { predicted }]),
          );
          this.#put({
            kernel, pattern, size: entry.size, candidates, choice: entry.choice,
            source: entry.source, expected: entry.speedup, interval: [entry.low, entry.high], measured: false,
          });
        }
      }
    }
    return { changes, total };
  }

  /** Take the choices of the server's oldest model, to compare them on measured rows. @param {Decisions | undefined} oldest undefined if it could not be asked */
  compare(oldest) {
    if (!oldest) return;
    this.comparedWith = oldest.version === this.version ? 0 : oldest.version;
    this.#earlier = this.comparedWith ? oldest.kernels : {};
    for (const row of this.measuredRows()) row.before = this.#choiceBefore(row);
  }

  /** @param {{kernel: string, pattern: string, size: number}} row */
  #choiceBefore({ kernel, pattern, size }) {
    return this.#earlier[kernel]?.[pattern]?.find((entry) => entry.size === size)?.choice;
  }

  /** Take one context that the worker measured. @param {Result} result */
  measure(result) {
    const candidates = Object.fromEntries(
      Object.entries(result.candidates).map(([name, { predicted, ...timed }]) => [
        name,
        { ...(timed.ok ? { measured: timed.speedup, spread: timed.spread } : {}), predicted: predicted ?? undefined, ok: timed.ok },
      ]),
    );
    const before = this.#choiceBefore({ ...result, pattern: result.context.pattern });
    this.#put({
      kernel: result.kernel, pattern: result.context.pattern, size: result.size, candidates, before,
      choice: result.choice, source: result.source, expected: candidates[result.choice]?.measured ?? 1,
      why: result.why, first: result.first, heuristic: result.heuristic, headline: result.headline, measured: true,
    });
  }

  /** @param {Row} row */
  #put(row) {
    const patterns = this.#kernels.get(row.kernel) ?? new Map();
    this.#kernels.set(row.kernel, patterns);
    const rows = (patterns.get(row.pattern) ?? []).filter((/** @type {Row} */ other) => other.size !== row.size);
    rows.push(row);
    rows.sort((/** @type {Row} */ a, /** @type {Row} */ b) => a.size - b.size);
    patterns.set(row.pattern, rows);
  }

  /** @param {string} kernel @param {string} pattern @param {number} size @returns {Row | undefined} */
  find(kernel, pattern, size) {
    return this.rows(kernel, pattern).find((row) => row.size === size);
  }

  kernels() {
    return [...this.#kernels.keys()];
  }

  /** @param {string} kernel @returns {string[]} */
  patterns(kernel) {
    return [...(this.#kernels.get(kernel)?.keys() ?? [])];
  }

  /** @param {string} kernel @param {string} pattern @returns {Row[]} */
  rows(kernel, pattern) {
    return this.#kernels.get(kernel)?.get(pattern) ?? [];
  }

  /** @returns {Row[]} */
  all() {
    return [...this.#kernels.values()].flatMap((patterns) => [...patterns.values()].flat());
  }

  /** @returns {Row[]} */
  measuredRows() {
    return this.all().filter((row) => row.measured);
  }
}

/** @param {Row} row as it was @param {string} from @param {Decision} entry the newer model's @returns {ChoiceChange} */
function choiceChange({ kernel, pattern, size, candidates, measured }, from, { choice: to, candidates: predicted }) {
  const [before, after] = measured ? [candidates[from]?.measured, candidates[to]?.measured] : [predicted[from], predicted[to]];
  return { kernel, pattern, size, from, to, gain: before && after ? after / before : undefined, measured };
}

/** The geometric mean speedup of these rows' choices, as far as is known. @param {Row[]} rows */
export function expectedSpeedup(rows) {
  return geometricMean(rows.map((row) => Math.max(row.expected, 1e-3)));
}

/**
 * Each way of choosing on rows that were measured here: the geometric mean speedup, its share of the best, and the number
 * of rows in which it is within 3 % of the best.
 * @param {Row[]} rows
 */
export function policies(rows) {
  const best = rows.map((row) => Math.max(...Object.values(row.candidates).map((c) => c.measured ?? 0)));
  /** @param {(row: Row) => string | undefined} pick */
  const follow = (pick) => {
    const speedups = rows.map((row) => row.candidates[pick(row) ?? "js"]?.measured ?? 1);
    return {
      speedup: geometricMean(speedups),
      ofBest: geometricMean(speedups.map((speedup, i) => speedup / best[i])),
      near: speedups.filter((speedup, i) => speedup >= 0.97 * best[i]).length,
    };
  };
  return {
    js: follow(() => "js"),
    heuristic: follow((row) => row.heuristic),
    ...(rows.every((row) => row.before) ? { before: follow((row) => row.before) } : {}),
    first: follow((row) => row.first),
    choice: follow((row) => row.choice),
    best: { speedup: geometricMean(best), ofBest: 1, near: rows.length },
  };
}
