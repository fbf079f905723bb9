// @ts-check
/** The dashboard: `GET /api/metrics` and `GET /api/decisions` as tiles, charts and the tables behind them. */
import { element, fill, find, notice } from "./dom.js";
import { decisionsPath } from "./decisions_path.js";
import { getJson } from "./get_json.js";
import { clock, count, day, kilobytes, languageSwitch, percent, say, times, translate } from "./i18n.js";
import { Plot } from "./plot.js";
import { terms } from "./terms.js";

const REFRESH_MS = 30_000;
const HEIGHT = 280;

/** Every quality metric that a version carries, and how it is written. @type {Record<string, (value: number) => string>} */
const METRICS = {
  accuracy: percent, mae: (value) => value.toFixed(3), regret: percent, optimal: percent, optimal_within_3pct: percent,
  geomean_speedup: times, mean_speedup: times, percent_of_oracle: percent, coverage: percent,
};

/** A metric of a version in words; a dash where it was not measured. @param {any} version @param {string} name */
function shown(version, name) {
  const value = version.metadata.metrics[name];
  return typeof value === "number" ? METRICS[name](value) : "–";
}

/** @param {any} metrics */
function tiles(metrics) {
  const last = metrics.versions.at(-1);
  if (!last) return;
  find("#dVersion").textContent = count(last.version);
  const places = { dAccuracy: "accuracy", dRegret: "regret", dSpeedup: "geomean_speedup", dOptimal: "optimal_within_3pct", dCoverage: "coverage" };
  for (const [id, name] of Object.entries(places)) find(`#${id}`).textContent = shown(last, name);
  find("#dReports").textContent = count(last.metadata.trainedOn.reports);
  find("#dFresh").textContent = `${count(metrics.learning.fresh)} / ${count(metrics.retrainPackets)}`;
}

/** @param {any[]} versions */
function versionsTable(versions) {
  const names = Object.keys(METRICS);
  const heads = ["dash.version", "dash.when", "dash.reports", "dash.size", ...names.map((name) => `metric.${name}`), "dash.gate"];
  fill(find("#versionsTable thead"), element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, say(head)))));
  const rows = versions.toReversed().map((version) =>
    element(
      "tr", {},
      element("th", { scope: "row" }, count(version.version)),
      element("td", {}, `${day(new Date(1000 * version.created))} ${clock(new Date(1000 * version.created))}`),
      element("td", {}, count(version.metadata.trainedOn.reports)),
      element("td", {}, kilobytes(version.size)),
      ...names.map((name) => element("td", {}, shown(version, name))),
      element("td", { class: "gate" }, version.gate.join("; ")),
    ),
  );
  fill(find("#versionsTable tbody"), ...rows);
}

/** @param {any[]} versions */
function csv(versions) {
  const names = Object.keys(METRICS);
  const lines = versions.map((version) =>
    [version.version, version.created, version.metadata.trainedOn.reports, version.size, ...names.map((name) => version.metadata.metrics[name] ?? "")].join(","),
  );
  return [["version", "created", "reports", "size", ...names].join(","), ...lines].join("\n");
}

/** @param {HTMLSelectElement} select */
function qualityChart(select) {
  const host = find("#qualityChart");
  /** @type {import("uplot") | undefined} */
  let plot;
  const size = () => ({ width: Math.max(host.clientWidth, 240), height: HEIGHT });
  new ResizeObserver(() => plot?.setSize(size())).observe(host);
  const colour = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return (/** @type {any[]} */ versions) => {
    plot?.destroy();
    if (!Plot) return;
    const name = select.value;
    const values = versions.map((version) => version.metadata.metrics[name] ?? null);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 } };
    const options = {
      ...size(), scales: { x: { time: false } }, legend: { live: false },
      axes: [
        { ...axis, label: say("dash.version"), incrs: [1, 2, 5, 10, 20, 50] },
        { ...axis, size: 64, values: (/** @type {import("uplot")} */ _, /** @type {number[]} */ v) => v.map(METRICS[name]) },
      ],
      series: [{}, { label: say(`metric.${name}`), stroke: colour("--accent"), width: 2, points: { show: true, size: 7 } }],
    };
    plot = new Plot(/** @type {any} */ (options), /** @type {any} */ ([versions.map((v) => v.version), values]), host);
  };
}

/** @param {any} environment */
function browserName({ browser, version, os, simd }) {
  return `${browser} ${version} ${os}${simd ? "" : ` (${say("browser.no", { feature: "SIMD" })})`}`;
}

/** The model's choices by kernel and kind of browser. @param {any[]} environments */
async function heat(environments) {
  const columns = await Promise.all(
    environments.map((environment) => getJson(decisionsPath(environment))),
  );
  fill(
    find("#heat thead"),
    element("tr", {}, element("th", { scope: "col" }, say("results.kernel")), ...environments.map((e) => element("th", { scope: "col" }, browserName(e)))),
  );
  const kernels = Object.keys(columns[0]?.kernels ?? {});
  fill(
    find("#heat tbody"),
    ...kernels.map((kernel) =>
      element("tr", {}, element("th", { scope: "row" }, kernel), ...columns.map((column) => heatCell(column.kernels[kernel]))),
    ),
  );
}

/** @param {any} patterns */
function heatCell(patterns) {
  const rows = /** @type {any[]} */ (Object.values(patterns)[0]);
  const { choice, speedup, low, high } = rows[rows.length >> 1];
  const cell = element("td", { class: "heat" }, times(speedup), element("small", {}, choice), element("small", {}, `${times(low)} – ${times(high)}`));
  // Colour by log speedup: 1× is bare, 16× and more is full.
  cell.style.setProperty("--heat-share", String(Math.min(1, Math.max(0, Math.log2(speedup) / 4)) * 0.35));
  return cell;
}

async function main() {
  translate();
  languageSwitch(/** @type {HTMLSelectElement} */ (find("#language")));
  terms();
  const select = /** @type {HTMLSelectElement} */ (find("#metric"));
  fill(select, ...Object.keys(METRICS).map((name) => element("option", { value: name }, say(`metric.${name}`))));
  const draw = qualityChart(select);
  /** @type {any[]} */
  let versions = [];
  let drawn = -1;

  async function refresh() {
    const metrics = await getJson("api/metrics");
    versions = metrics.versions;
    tiles(metrics);
    if (metrics.version === drawn) return;
    drawn = metrics.version;
    versionsTable(versions);
    draw(versions);
    await heat(metrics.environments);
  }
  /** @param {unknown} error */
  const offline = (error) => {
    console.warn(error);
    notice(say("notice.offline"), "bad");
  };
  select.addEventListener("change", () => draw(versions));
  find("#csv").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(versions)], { type: "text/csv" }));
    link.download = "fleetune-versions.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  await refresh().catch(offline);
  setInterval(() => refresh().catch(offline), REFRESH_MS);
}

main();
