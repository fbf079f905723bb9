// @ts-check
/** One panel of the dashboard: a chart, the table behind it, and its download as CSV and JSON. */
import { csv, json, METRICS } from "./tables.js";
import { element, fill, find } from "../shared/dom.js";
import { clock, count, day, duration, language, percent, say, sayOr, times } from "../shared/i18n.js";
import { colour, onNewColours, plotter, progressBar } from "../shared/plot.js";

/** @import { AlignedData, Axis, default as Plot, Options } from "uplot" @import { Table } from "./tables" */

const HEIGHT = 280;
const COLOURS = ["--accent", "--warn"];

const DAY = 86_400; // seconds
const WHOLE = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((power) => [power, 2 * power, 5 * power]);
const ORDERS = [0, 1e3, 1e4, 1e5, 1e6, 1e7];

const thousandths = new Intl.NumberFormat(language, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const order = new Intl.NumberFormat(language, { notation: "compact" });
const date = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
const hour = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });

/** The horizontal axis, by what it counts: where its ticks are and how they are written. @type {Record<"time" | "orders" | "whole", Axis>} */
const AXES = {
  time: { space: 72, values: (_plot, ticks, _axis, _space, step) => ticks.map((x) => date.format(1000 * x) + (step < DAY ? `\n${hour.format(1000 * x)}` : "")) },
  orders: {
    splits: (_plot, _axis, from, to) => ORDERS.filter((x) => x >= from && x <= to),
    filter: (_plot, ticks) => ticks, // uPlot's own drops all but powers of ten
    // On phones every other one has room for its words.
    values: (plot, ticks) => ticks.map((x, i) => (i % 2 && plot.width < 56 * ticks.length + 72 ? "" : order.format(x))),
  },
  whole: { incrs: WHOLE, values: (_plot, ticks) => ticks.map(count) },
};

/** A value in the format of its column. @param {string} column @param {string | number | null} value */
export function written(column, value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (column === "time") return `${day(new Date(1000 * value))} ${clock(new Date(1000 * value))}`;
  const kind = METRICS[column];
  if (kind === "percent") return percent(value);
  if (kind === "times") return times(value);
  return Number.isInteger(value) ? count(value) : thousandths.format(value);
}

/** @param {string} name @param {string} content @param {string} type */
export function download(name, content, type) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  URL.revokeObjectURL(/** @type {HTMLAnchorElement} */ (link).href);
}

/** @param {Table} table */
function tableOf({ columns, rows, lines }) {
  // The ends of an interval have the format of their figure.
  const about = lines?.[0].column ?? "";
  const kind = columns.map((name) => (name === "low" || name === "high" ? about : name));
  return [
    element("thead", {}, element("tr", {}, ...columns.map((name) => element("th", { scope: "col" }, sayOr(`column.${name}`))))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((value, i) => element("td", {}, written(kind[i], value)))))),
  ];
}

/** Columns as uPlot takes them: x, then each line with the ends of its interval. @param {Table} table */
function series({ columns, rows, x, lines = [] }) {
  const names = lines.flatMap(({ column, low, high }) => [column, ...(low && high ? [low, high] : [])]);
  const column = (/** @type {string} */ name) => rows.map((row) => /** @type {number | null} */ (row[columns.indexOf(name)]));
  return { names, data: [column(x ?? columns[0]), ...names.map(column)] };
}

/** A range with some room around a single point, where uPlot's own would begin at 0. @param {number[]} xs @param {number} least on either side */
function padded(xs, least) {
  const [from, to] = [Math.min(...xs), Math.max(...xs)];
  const room = Math.max(least, 0.02 * (to - from));
  return () => /** @type {[number, number]} */ ([from - room, to + room]);
}

/** A list of bars with their counts, without a library. @param {Table} table */
function barsOf({ columns, rows, bars = "" }) {
  const at = columns.indexOf(bars);
  const most = Math.max(1, ...rows.map((row) => Number(row[at])));
  return rows.map((row) => {
    const label = row[0] === null ? say("dash.longer") : say("dash.within", { time: duration(Number(row[0])) });
    return element("li", {}, element("span", { class: "what" }, label), progressBar(Number(row[at]) / most), element("strong", {}, count(Number(row[at]))));
  });
}

/**
 * A panel in `host`; call the returned function with its table, or without one if there is nothing to show.
 * @param {HTMLElement} host with an `id`, which names its downloads @param {{empty?: string}} [words]
 */
export function panel(host, { empty = "dash.empty" } = {}) {
  const plot = element("div", { class: "plot", role: "img", "aria-labelledby": `${host.id}-title` });
  const bars = element("ul", { class: "bars narrow" });
  const note = element("p", { class: "hint" });
  const label = say("dash.tableOf", { title: find("h3", host).textContent ?? "" });
  const table = element("table", { "aria-label": label });
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
  const details = element("details", {}, element("summary", {}, say("dash.table")), scroll);
  const saves = ["CSV", "JSON"].map((kind) => element("button", { type: "button" }, say("dash.save", { kind })));
  const below = element("div", { class: "below" }, details, element("div", { class: "actions" }, ...saves));
  host.append(plot, bars, note, below);
  /** @type {Table | undefined} */
  let shown;
  /** @type {Plot | undefined} */
  let drawn;
  const size = () => ({ width: Math.max(plot.clientWidth, 200), height: HEIGHT });
  new ResizeObserver(() => drawn?.setSize(size())).observe(plot);
  onNewColours(draw);
  saves[0].addEventListener("click", () => shown && download(`fleetune-${host.id}.csv`, csv(shown), "text/csv"));
  saves[1].addEventListener("click", () => shown && download(`fleetune-${host.id}.json`, json(shown), "application/json"));

  async function draw() {
    const Plot = await plotter;
    drawn?.destroy();
    drawn = undefined;
    if (!shown?.lines || !shown.rows.length) return;
    if (!Plot) {
      plot.hidden = true;
      note.hidden = false;
      note.textContent = say("chart.none");
      /** @type {HTMLDetailsElement} */ (details).open = true;
      return;
    }
    const { names, data } = series(shown);
    const main = shown.lines[0].column;
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const time = shown.x === "time";
    const { steps } = shown;
    const whole = data[1].every((y) => y === null || Number.isInteger(y));
    let bands = 0;
    /** @type {Options} */
    const options = {
      ...size(), scales: { x: { time, ...(shown.asinh ? { distr: 4, asinh: shown.asinh } : {}), range: time || shown.rows.length < 2 ? padded(/** @type {number[]} */ (data[0]), time ? 6 * 3600 : 1) : undefined } }, legend: { show: false },
      axes: [
        { ...axis, label: sayOr(`column.${shown.x}`), ...AXES[time ? "time" : shown.asinh ? "orders" : "whole"] },
        { ...axis, size: 72, ...(whole ? { incrs: WHOLE } : {}), values: (_plot, ticks) => ticks.map((y) => written(main, y)) },
      ],
      series: [{}, ...names.map((name) => {
        const end = name === "low" || name === "high";
        const stroke = colour(COLOURS[0]);
        return { label: name, stroke, ...(steps ? { paths: Plot.paths.stepped?.({ align: 1 }) } : {}), width: end ? 0 : 2, points: { show: !end, size: 8, fill: stroke } };
      })],
      bands: shown.lines.flatMap(({ low, high }, i) => {
        const at = 1 + i + bands;
        if (!low || !high) return [];
        bands += 2;
        return [{ series: [at + 2, at + 1], fill: `color-mix(in srgb, ${colour(COLOURS[0])} 18%, transparent)` }];
      }),
    };
    drawn = new Plot(options, /** @type {AlignedData} */ (data), plot);
  }

  return (/** @type {Table | undefined} */ next) => {
    shown = next;
    const some = next !== undefined && next.rows.length > 0 && (next.lines?.some(({ column }) => next.rows.some((row) => row[next.columns.indexOf(column)] !== null)) ?? next.rows.some((row) => Number(row[1]) > 0));
    plot.hidden = !some || !next?.lines;
    bars.hidden = !some || !next?.bars;
    note.hidden = some;
    below.hidden = !some;
    note.textContent = some ? "" : say(empty);
    if (!some || !next) {
      drawn?.destroy();
      drawn = undefined;
      return;
    }
    fill(table, ...tableOf(next));
    if (next.bars) fill(bars, ...barsOf(next));
    draw();
  };
}
