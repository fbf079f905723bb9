// @ts-check
/** What the dashboard shows, panel by panel: pure functions from the metrics to rows, and how a panel is drawn. */

/**
 * A panel's data: one row a point. `lines` are drawn over the column `x`; a line with `low` and `high` has an interval.
 * @typedef {object} Table
 * @property {string[]} columns names, also those of the CSV
 * @property {(string | number | null)[][]} rows
 * @property {string} [x] column of the horizontal axis
 * @property {{column: string, low?: string, high?: string}[]} [lines]
 * @property {number} [asinh] the axis is linear up to about this and logarithmic beyond
 * @property {boolean} [steps] a value holds until the next one
 * @property {string} [bars] column drawn as bars instead
 */

/** Metrics of a version that can be drawn, and how each is written. @type {Record<string, "percent" | "times" | "plain">} */
export const METRICS = {
  accuracy: "percent", mae: "plain", regret: "percent", optimal: "percent", optimal_within_3pct: "percent",
  geomean_speedup: "times", mean_speedup: "times", percent_of_oracle: "percent", coverage: "percent",
};

/** @param {any} version @param {string} name @returns {[number | null, number | null, number | null]} value, low, high */
export function figure(version, name) {
  const { metrics } = version.metadata;
  const [low, high] = metrics.intervals?.[name] ?? [null, null];
  return [typeof metrics[name] === "number" ? metrics[name] : null, low, high];
}

/** One metric over versions or over reports, measured on lab data that the model has not seen. @param {any} data @param {string} metric @param {"version" | "reports"} over @returns {Table} */
export function quality({ versions }, metric, over) {
  const rows = versions.map((/** @type {any} */ v) => [v.version, v.metadata.trainedOn.reports, ...figure(v, metric)]);
  if (over === "reports") rows.sort((/** @type {number[]} */ a, /** @type {number[]} */ b) => a[1] - b[1]);
  return { columns: ["version", "reports", metric, "low", "high"], rows, x: over, lines: [{ column: metric, low: "low", high: "high" }] };
}

/** Error on held-out reports: the network effect of this very server. @param {any} data @returns {Table} */
export function recorded({ versions }) {
  const rows = versions.map((/** @type {any} */ v) => {
    const { count, mae, maeLow, maeHigh } = v.metadata.metrics.reports ?? {};
    return [v.metadata.trainedOn.reports, v.version, count ?? 0, mae ?? null, maeLow ?? null, maeHigh ?? null];
  });
  return { columns: ["reports", "version", "heldout", "mae", "low", "high"], rows, x: "reports", lines: [{ column: "mae", low: "low", high: "high" }] };
}

/** The committed simulation's curve, if there is one. @param {any} data @returns {Table | undefined} */
export function simulated({ simulation }) {
  const curve = simulation?.curve;
  if (!Array.isArray(curve) || !curve.length) return undefined;
  const columns = ["reports", "accuracy", "mae", "regret", "percent_of_oracle"].filter((name) => name in curve[0]);
  return { columns, rows: curve.map((point) => columns.map((name) => point[name])), x: "reports", asinh: 250, lines: [{ column: "accuracy" }] };
}

/** @param {any} data @returns {Table} */
export function packets({ hours }) {
  const rows = hours.map((/** @type {any} */ hour) => [hour.at, hour.reports, hour.version]);
  return { columns: ["time", "reports", "version"], rows, x: "time", lines: [{ column: "reports" }] };
}

/** When each version was published. @param {any} data @returns {Table} */
export function published({ versions }) {
  return { columns: ["time", "version"], rows: versions.map((/** @type {any} */ v) => [v.created, v.version]), x: "time", steps: true, lines: [{ column: "version" }] };
}

/** From a packet to the model that has learned from it. @param {any} data @returns {Table} */
export function latency({ telemetryToModel: { bounds, counts } }) {
  const rows = counts.map((/** @type {number} */ n, /** @type {number} */ i) => [i < bounds.length ? bounds[i] : null, n]);
  return { columns: ["seconds", "models"], rows, bars: "models" };
}

/** @param {Table} table */
export function csv({ columns, rows }) {
  /** @param {string | number | null} value */
  const cell = (value) => (typeof value === "string" && /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : (value ?? ""));
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\n");
}

/** @param {Table} table */
export function json({ columns, rows }) {
  return JSON.stringify(rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]]))), null, 1);
}
