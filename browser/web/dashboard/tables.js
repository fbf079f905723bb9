// @ts-check
/** What the dashboard shows, panel by panel: pure functions from the metrics to rows, and how to draw them. */
/** @import { Metrics, Version } from "../shared/wire" */

/**
 * A panel's data, one row for each point. `lines` are drawn over the column `x`; one with `low` and `high` has an interval.
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

/** @param {Version} version @param {string} name @returns {[number | null, number | null, number | null]} value, low, high */
export function figure(version, name) {
  const { metrics } = version.metadata;
  const [low, high] = metrics.intervals?.[name] ?? [null, null];
  const value = metrics[name];
  return [typeof value === "number" ? value : null, low, high];
}

/** One metric over versions or over reports, measured on lab data that the model has not seen. @param {Metrics} data @param {string} metric @param {"version" | "reports"} over @returns {Table} */
export function quality({ versions }, metric, over) {
  const reports = (/** @type {Version} */ v) => v.metadata.trainedOn.reports;
  const ordered = over === "reports" ? versions.toSorted((a, b) => reports(a) - reports(b)) : versions;
  const rows = ordered.map((v) => [v.version, reports(v), ...figure(v, metric)]);
  return { columns: ["version", "reports", metric, "low", "high"], rows, x: over, lines: [{ column: metric, low: "low", high: "high" }] };
}

/** The error on held-out reports: this server's own network effect. @param {Metrics} data @returns {Table} */
export function recorded({ versions }) {
  const rows = versions.map((v) => {
    const { count = 0, mae, maeLow, maeHigh } = v.metadata.metrics.reports ?? {};
    return [v.metadata.trainedOn.reports, v.version, count, mae ?? null, maeLow ?? null, maeHigh ?? null];
  });
  return { columns: ["reports", "version", "heldout", "mae", "low", "high"], rows, x: "reports", lines: [{ column: "mae", low: "low", high: "high" }] };
}

/** The committed simulation's curve, if there is one. @param {Metrics} data @returns {Table | undefined} */
export function simulated({ simulation }) {
  const curve = simulation?.curve;
  if (!Array.isArray(curve) || !curve.length) return undefined;
  const columns = ["reports", "accuracy", "mae", "regret", "percent_of_oracle"].filter((name) => name in curve[0]);
  return { columns, rows: curve.map((point) => columns.map((name) => point[name])), x: "reports", asinh: 250, lines: [{ column: "accuracy" }] };
}

/** Reports over time. @param {Metrics} data @returns {Table} */
export function packets({ hours }) {
  const rows = hours.map((hour) => [hour.at, hour.reports, hour.version]);
  return { columns: ["time", "reports", "version"], rows, x: "time", lines: [{ column: "reports" }] };
}

/** When each version was published. @param {Metrics} data @returns {Table} */
export function published({ versions }) {
  return { columns: ["time", "version"], rows: versions.map((v) => [v.created, v.version]), x: "time", steps: true, lines: [{ column: "version" }] };
}

/** The time from a packet to the model that learned from it. @param {Metrics} data @returns {Table} */
export function latency({ telemetryToModel: { bounds, counts } }) {
  const rows = counts.map((n, i) => [i < bounds.length ? bounds[i] : null, n]);
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
