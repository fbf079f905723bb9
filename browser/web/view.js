// @ts-check
/** What the page knows of every context: the model's predictions, replaced by measurements as they come. */

/**
 * @typedef {{measured?: number, predicted?: number, spread?: number, ok?: boolean}} Cell speedups over JavaScript
 * @typedef {"measured" | "personal" | "predicted" | "default" | "only"} Source
 * @typedef {object} Row
 * @property {string} kernel
 * @property {string} pattern data pattern; ends in `+copied` where arrays are copied on every call
 * @property {number} size elements
 * @property {Record<string, Cell>} candidates JavaScript first
 * @property {string} choice
 * @property {Source} source
 * @property {number} expected speedup of the choice
 * @property {[number, number]} [interval] 95 % interval of a predicted choice's speedup
 * @property {string} [why] one sentence
 * @property {string} [first] the choice before anything was measured here
 * @property {string} [before] the choice of a model from before everyone's reports
 * @property {string} [heuristic] what the capability heuristic takes
 * @property {boolean} measured
 */

/** Rows by kernel, then by pattern, ordered by size. */
export class View {
  /** @type {Map<string, Map<string, Row[]>>} */
  #kernels = new Map();
  version = 0;
  /** The version that `before` of rows comes from; 0 if none was asked for. */
  comparedWith = 0;

  /** The server's answer of `GET /api/decisions`: rows that were measured here keep their measurements. @param {any} decisions */
  predict(decisions) {
    this.version = decisions.version;
    let changed = 0;
    let total = 0;
    for (const [kernel, patterns] of Object.entries(decisions.kernels)) {
      for (const [pattern, entries] of Object.entries(/** @type {any} */ (patterns))) {
        for (const entry of entries) {
          const before = this.find(kernel, pattern, entry.size);
          total += 1;
          if (before && (before.measured ? before.first : before.choice) !== entry.choice) changed += 1;
          if (before?.measured) {
            // The measurement stays; the prediction beside it is the new model's.
            for (const [name, predicted] of Object.entries(entry.candidates)) {
              if (before.candidates[name]) before.candidates[name].predicted = /** @type {number} */ (predicted);
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
    return { changed, total };
  }

  /** Another version's answer of `GET /api/decisions`, to be compared on what was measured here. @param {any} decisions */
  compare(decisions) {
    this.comparedWith = decisions.version;
    for (const row of this.measuredRows()) {
      const entries = decisions.kernels[row.kernel]?.[row.pattern] ?? [];
      row.before = entries.find((/** @type {any} */ entry) => entry.size === row.size)?.choice;
    }
  }

  /** One context as the worker measured it. @param {any} result */
  measure(result) {
    const candidates = Object.fromEntries(
      Object.entries(result.candidates).map(([name, c]) => [
        name,
        { measured: c.ok === false ? undefined : c.speedup, predicted: c.predicted ?? undefined, spread: c.spread, ok: c.ok !== false },
      ]),
    );
    this.#put({
      kernel: result.kernel, pattern: result.context.pattern, size: result.size, candidates,
      choice: result.choice, source: result.source, expected: candidates[result.choice]?.measured ?? 1,
      why: result.why, first: result.first, heuristic: result.heuristic, measured: true,
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

/** @param {number[]} values all positive */
export function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** What the choices of these rows give together, as far as is known. @param {Row[]} rows */
export function expectedSpeedup(rows) {
  return geometricMean(rows.map((row) => Math.max(row.expected, 1e-3)));
}

/**
 * What each way of choosing gives on rows that were measured here: geometric mean speedup, share of the
 * best, and in how many it was right or within 3 %.
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
