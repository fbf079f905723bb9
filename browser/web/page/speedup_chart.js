// @ts-check
/**
 * One chart of speedups over sizes: a line for each candidate, dashed if any of its points is only predicted. Marks say
 * what is known about each point; the key under the chart explains them.
 */
import { element, fill } from "../shared/dom.js";
import { roughly, say, times } from "../shared/i18n.js";
import { colour, onNewColours, plotter } from "../shared/plot.js";

/** @import { AlignedData, default as uPlot, Options } from "uplot" @import { Row } from "./view" */

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

/** The candidates with a line: JavaScript, and those that come nearest to the best at any size. @param {Row[]} rows */
function leaders(rows) {
  const names = Object.keys(rows[0].candidates);
  const best = rows.map((row) => Math.max(...names.map((name) => value(row, name) ?? 0)));
  /** @param {string} name */
  const nearest = (name) => Math.max(...rows.map((row, i) => (row.choice === name ? 2 : (value(row, name) ?? 0) / best[i])));
  const others = names.filter((name) => name !== "js").sort((a, b) => nearest(b) - nearest(a));
  return ["js", ...others.slice(0, MOST_LINES - 1)];
}

/** Shapes at a point, in the plot's own pixels. @param {uPlot} plot */
function pen(plot) {
  const { ctx } = plot;
  const pixel = devicePixelRatio;
  const floor = plot.bbox.top + plot.bbox.height;
  /** @param {number} speedup */
  const height = (speedup) => Math.max(plot.bbox.top, Math.min(plot.valToPos(speedup, "y", true), floor));
  /** @param {[number, number, number, number][]} strokes from x, y to x, y */
  function lines(...strokes) {
    ctx.beginPath();
    for (const [fromX, fromY, toX, toY] of strokes) {
      ctx.moveTo(fromX, fromY);
      ctx.lineTo(toX, toY);
    }
    ctx.stroke();
  }
  /** @param {number} x @param {number} y @param {number} radius */
  function circle(x, y, radius) {
    ctx.beginPath();
    ctx.arc(x, y, radius * pixel, 0, 2 * Math.PI);
  }
  return {
    /** @param {number} x @param {number} from @param {number} to */
    bar: (x, from, to) => lines([x, height(from), x, height(to)]),
    /** @param {number} x @param {[number, number]} interval */
    whiskers(x, [low, high]) {
      const arm = 4 * pixel;
      lines([x, height(low), x, height(high)], ...[low, high].map((end) => /** @type {[number, number, number, number]} */ ([x - arm, height(end), x + arm, height(end)])));
    },
    /** @param {number} x @param {number} speedup */
    cross(x, speedup) {
      const [y, arm] = [height(speedup), 4 * pixel];
      lines([x - arm, y - arm, x + arm, y + arm], [x - arm, y + arm, x + arm, y - arm]);
    },
    /** @param {number} x @param {number} speedup */
    dot(x, speedup) {
      circle(x, height(speedup), 4);
      ctx.fill();
    },
    /** @param {number} x @param {number} speedup */
    ring(x, speedup) {
      circle(x, height(speedup), 7);
      ctx.stroke();
    },
  };
}

/** Marks that say how sure each point is. @param {() => Row[]} rows @param {string[]} names */
function marks(rows, names) {
  return (/** @type {uPlot} */ plot) => {
    const { ctx } = plot;
    const [ink, hues] = [colour("--ink"), names.map((_, index) => hue(index))];
    const draw = pen(plot);
    ctx.save();
    ctx.lineWidth = 2 * devicePixelRatio;
    for (const row of rows()) {
      const x = plot.valToPos(row.size, "x", true);
      names.forEach((name, index) => {
        const { measured, predicted, spread } = row.candidates[name] ?? {};
        ctx.strokeStyle = ctx.fillStyle = hues[index];
        if (measured) {
          draw.dot(x, measured);
          // The spread says how much slower than its best the candidate usually is.
          if (spread) draw.bar(x, measured, measured / (1 + spread));
          if (predicted) draw.cross(x, predicted);
        } else if (name === row.choice && row.interval) {
          draw.whiskers(x, row.interval);
        }
        const shown = value(row, name);
        if (name !== row.choice || shown === null) return;
        ctx.strokeStyle = ink;
        draw.ring(x, shown);
      });
    }
    ctx.restore();
  };
}

/** A chart in `host`; call the returned function with rows of one kernel and pattern to draw them. @param {HTMLElement} host */
export function speedupChart(host) {
  /** @type {uPlot | undefined} */
  let plot;
  /** @type {typeof uPlot | null} */
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
      const measured = rows.filter((row) => row.candidates[name]?.measured).length;
      return {
        label: (measured ? name : say("chart.predicted", { candidate: name })).replaceAll("+", "+\u200b"), // where a line may end
        ...stroke(index, measured < rows.length),
        points: { show: true, size: 5 },
        value: (/** @type {uPlot} */ _plot, /** @type {number | null} */ y) => (y === null ? "–" : times(y)),
      };
    });
    /** @type {Options} */
    const options = {
      ...size(),
      scales: { x: { distr: 3, log: 2, time: false }, y: { distr: 3, log: 2 } },
      axes: [
        { ...axis(), label: say("chart.size"), values: (_plot, ticks) => ticks.map((x) => x && compact(x)) },
        { ...axis(), size: 56, values: (_plot, ticks) => ticks.map((y) => y && roughly(y)) },
      ],
      series: [{ label: say("chart.size"), value: (_plot, x) => compact(x) }, ...series],
      legend: { live: false },
      hooks: { draw: [marks(() => current, names)] },
    };
    plot = new Plot(options, /** @type {AlignedData} */ (data), host);
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
