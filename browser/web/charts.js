// @ts-check
/** One chart of speedups over sizes: lines for candidates, crosses for predictions, a ring for the choice. */
import { element, fill } from "./dom.js";
import { say, times } from "./i18n.js";
import { colour, onNewColours, plotter } from "./plot.js";

/** @typedef {import("./view.js").Row} Row */

const COLOURS = 8; // --line-1 … in style.css
const HEIGHT = 360;
const MOST_LINES = 7;

/** @param {number} index of a candidate's line */
const hue = (index) => colour(`--line-${1 + (index % COLOURS)}`);

/** @param {number} index @param {boolean} dashed */
function stroke(index, dashed) {
  return { stroke: hue(index), width: 2, dash: dashed ? [5, 4] : index >= COLOURS ? [2, 3] : [] };
}

/**
 * The value to draw: what was measured, else what is predicted.
 * @param {Row} row @param {string} candidate
 */
function value(row, candidate) {
  const cell = row.candidates[candidate];
  return cell?.measured ?? cell?.predicted ?? null;
}

/** What is worth a line: JavaScript, and the candidates that come nearest to the best anywhere. @param {Row[]} rows */
function leaders(rows) {
  const names = Object.keys(rows[0].candidates);
  const best = rows.map((row) => Math.max(...names.map((name) => value(row, name) ?? 0)));
  /** @param {string} name */
  const nearest = (name) => Math.max(...rows.map((row, i) => (row.choice === name ? 2 : (value(row, name) ?? 0) / best[i])));
  const others = names.filter((name) => name !== "js").sort((a, b) => nearest(b) - nearest(a));
  return ["js", ...others.slice(0, MOST_LINES - 1)];
}

/** A ring around the chosen candidate's point, and a bar over its spread. @param {() => Row[]} rows @param {string[]} names */
function marks(rows, names) {
  return (/** @type {import("uplot")} */ plot) => {
    const { ctx } = plot;
    const floor = plot.bbox.top + plot.bbox.height;
    const [ink, hues] = [colour("--ink"), names.map((_, index) => hue(index))];
    ctx.save();
    ctx.lineWidth = 2 * devicePixelRatio;
    rows().forEach((row) => {
      names.forEach((name, index) => {
        const cell = row.candidates[name];
        const y = value(row, name);
        if (y === null) return;
        const left = plot.valToPos(row.size, "x", true);
        ctx.strokeStyle = hues[index];
        if (cell?.measured && cell.spread) {
          // The spread says how much slower than its best the candidate usually is.
          ctx.beginPath();
          ctx.moveTo(left, plot.valToPos(y, "y", true));
          ctx.lineTo(left, Math.min(plot.valToPos(y / (1 + cell.spread), "y", true), floor));
          ctx.stroke();
        }
        if (cell?.measured && cell.predicted) {
          const at = plot.valToPos(cell.predicted, "y", true);
          const arm = 4 * devicePixelRatio;
          ctx.beginPath();
          for (const slope of [-1, 1]) {
            ctx.moveTo(left - arm, at - slope * arm);
            ctx.lineTo(left + arm, at + slope * arm);
          }
          ctx.stroke();
        }
        if (name === row.choice) {
          ctx.strokeStyle = ink;
          ctx.beginPath();
          ctx.arc(left, plot.valToPos(y, "y", true), 7 * devicePixelRatio, 0, 2 * Math.PI);
          ctx.stroke();
        }
      });
    });
    ctx.restore();
  };
}

/** A chart in `host`; call the returned function with rows of one kernel and pattern to draw them. @param {HTMLElement} host */
export function speedupChart(host) {
  /** @type {import("uplot") | undefined} */
  let plot;
  /** @type {typeof import("uplot") | null} */
  let Plot = null;
  plotter.then((found) => {
    Plot = found;
    if (found) draw(current);
    else fill(host, element("p", { class: "hint" }, say("chart.none")));
  });
  /** @type {Row[]} */
  let current = [];

  const size = () => ({ width: Math.max(host.clientWidth, 240), height: HEIGHT });
  new ResizeObserver(() => plot?.setSize(size())).observe(host);

  const axis = () => ({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } });

  /** @param {Row[]} rows */
  function draw(rows) {
    current = rows;
    plot?.destroy();
    if (!rows.length || !Plot) return;
    const names = leaders(rows);
    /** @type {(number | null)[][]} */
    const data = [rows.map((row) => row.size), ...names.map((name) => rows.map((row) => value(row, name)))];
    const series = names.map((name, index) => {
      const measured = rows.some((row) => row.candidates[name]?.measured);
      return {
        label: measured ? name : say("chart.predicted", { candidate: name }),
        ...stroke(index, !measured),
        points: { show: true, size: 5 },
        value: (/** @type {import("uplot")} */ _, /** @type {number | null} */ y) => (y === null ? "–" : times(y)),
      };
    });
    const options = {
      ...size(),
      scales: { x: { distr: 3, log: 2, time: false }, y: { distr: 3, log: 2 } },
      axes: [
        { ...axis(), label: say("chart.size"), values: (/** @type {import("uplot")} */ _, /** @type {number[]} */ v) => v.map((x) => x && compact(x)) },
        { ...axis(), size: 56, values: (/** @type {import("uplot")} */ _, /** @type {number[]} */ v) => v.map((y) => y && `${+y.toPrecision(2)}×`) },
      ],
      series: [{ label: say("chart.size"), value: (/** @type {import("uplot")} */ _, /** @type {number} */ x) => compact(x) }, ...series],
      legend: { live: false },
      hooks: { draw: [marks(() => current, names)] },
    };
    plot = new Plot(/** @type {any} */ (options), /** @type {any} */ (data), host);
  }
  onNewColours(() => draw(current));
  return draw;
}

/** @param {number | null} size */
function compact(size) {
  if (size === null || size === undefined) return "–";
  if (size >= 1 << 20) return `${+(size / (1 << 20)).toPrecision(3)}M`;
  return size >= 4096 ? `${+(size / 1024).toPrecision(3)}k` : String(size);
}
