// @ts-check
/** The map of best variants: kernels down, kinds of browser across, coloured by speedup or by the model's doubt. */
/** @import { Decision, Decisions, Environment } from "../shared/wire" */
import { element, fill, find } from "../shared/dom.js";
import { csv, json } from "./tables.js";
import { getJson } from "../shared/api.js";
import { breakable } from "../shared/glossary.js";
import { percent, say, times } from "../shared/i18n.js";
import { download } from "./panel.js";

/**
 * Where the server's decisions for any environment are; booleans are 0 and 1. A page does not ask this about its own
 * browser, but reads its engine's answer (api.js).
 * @param {Environment} environment
 */
export function decisionsPath(environment) {
  const query = Object.entries(environment).map(([name, value]) => [name, String(typeof value === "boolean" ? +value : value)]);
  return `api/decisions?${new URLSearchParams(query)}`;
}

/** @param {Environment} environment */
function browserName({ browser, version, os, simd, arch }) {
  return `${browser} ${version} ${os}${arch ? ` ${arch}` : ""}${simd ? "" : ` (${say("browser.no", { feature: "SIMD" })})`}`;
}

/** A kernel's middle size in its first pattern. @param {Record<string, Decision[]>} patterns */
function middle(patterns) {
  const [rows] = Object.values(patterns);
  return rows[rows.length >> 1];
}

/** How far the truth may be from the prediction: half the width of its interval, as a share. @param {Decision} row */
const doubt = ({ low, high }) => Math.sqrt(high / low) - 1;

/** @param {Decision} row @param {string} by */
function cell(row, by) {
  const { choice, speedup, low, high } = row;
  const main = by === "doubt" ? say("dash.plusMinus", { share: percent(doubt(row)) }) : times(speedup);
  const node = element("td", { class: "heat" }, main, element("small", {}, ...breakable(choice)), low < high && element("small", {}, `${times(low)} – ${times(high)}`));
  // A speedup of 1× and no doubt have no colour; 16× and 50 % have the full colour.
  const share = by === "doubt" ? doubt(row) / 0.5 : Math.log2(speedup) / 4;
  node.style.setProperty("--heat-share", String(Math.min(1, Math.max(0, share)) * 0.35));
  return node;
}

/** The map; call the returned function with kinds of browser to load and show them. */
export function heatMap() {
  const select = /** @type {HTMLSelectElement} */ (find("#heatBy"));
  fill(select, ...["speedup", "doubt"].map((by) => element("option", { value: by }, say(`dash.by.${by}`))));
  /** @type {Environment[]} */
  let environments = [];
  /** @type {Decisions[]} */
  let columns = [];

  function show() {
    const kernels = Object.keys(columns[0]?.kernels ?? {});
    const heads = environments.map((environment) => element("th", { scope: "col" }, browserName(environment)));
    fill(find("#heat thead"), element("tr", {}, element("th", { scope: "col" }, say("results.kernel")), ...heads));
    fill(
      find("#heat tbody"),
      ...kernels.map((kernel) =>
        element("tr", {}, element("th", { scope: "row" }, kernel), ...columns.map((column) => cell(middle(column.kernels[kernel]), select.value))),
      ),
    );
  }

  function table() {
    const rows = environments.flatMap((environment, i) =>
      Object.entries(columns[i].kernels).map(([kernel, patterns]) => {
        const { size, choice, speedup, low, high } = middle(patterns);
        return [kernel, browserName(environment), size, choice, speedup, low, high];
      }),
    );
    return { columns: ["kernel", "browser", "size", "choice", "speedup", "low", "high"], rows };
  }
  select.addEventListener("change", show);
  find("#heatCsv").addEventListener("click", () => download("fleetune-best.csv", csv(table()), "text/csv"));
  find("#heatJson").addEventListener("click", () => download("fleetune-best.json", json(table()), "application/json"));

  return async (/** @type {Environment[]} */ next) => {
    const answers = await Promise.all(next.map((environment) => getJson(decisionsPath(environment))));
    [environments, columns] = [next, /** @type {Decisions[]} */ (answers)];
    for (const id of ["#heatCsv", "#heatJson"]) /** @type {HTMLButtonElement} */ (find(id)).disabled = false;
    show();
  };
}
