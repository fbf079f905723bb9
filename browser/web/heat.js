// @ts-check
/** The map of best variants: kernels down, kinds of browser across; by speedup or by how unsure the model is. */
import { decisionsPath } from "./decisions_path.js";
import { element, fill, find } from "./dom.js";
import { csv, json } from "./dashboard_panels.js";
import { getJson } from "./get_json.js";
import { breakable } from "./glossary.js";
import { percent, say, times } from "./i18n.js";
import { download } from "./panel.js";

/** @param {any} environment */
export function browserName({ browser, version, os, simd }) {
  return `${browser} ${version} ${os}${simd ? "" : ` (${say("browser.no", { feature: "SIMD" })})`}`;
}

/** A kernel's middle size in its first pattern. @param {any} patterns */
function middle(patterns) {
  const rows = /** @type {any[]} */ (Object.values(patterns)[0]);
  return rows[rows.length >> 1];
}

/** How far the truth may be from the prediction: half the width of its interval, as a share. @param {any} row */
const doubt = ({ low, high }) => Math.sqrt(high / low) - 1;

/** @param {any} row @param {string} by */
function cell(row, by) {
  const { choice, speedup, low, high } = row;
  const main = by === "doubt" ? say("dash.plusMinus", { share: percent(doubt(row)) }) : times(speedup);
  const node = element("td", { class: "heat" }, main, element("small", {}, ...breakable(choice)), low < high && element("small", {}, `${times(low)} – ${times(high)}`));
  // Speedup: 1× is bare, 16× and more is full. Doubt: none is bare, 50 % and more is full.
  const share = by === "doubt" ? doubt(row) / 0.5 : Math.log2(speedup) / 4;
  node.style.setProperty("--heat-share", String(Math.min(1, Math.max(0, share)) * 0.35));
  return node;
}

/** The map; call the returned function with kinds of browser to ask for them anew. */
export function heatMap() {
  const select = /** @type {HTMLSelectElement} */ (find("#heatBy"));
  fill(select, ...["speedup", "doubt"].map((by) => element("option", { value: by }, say(`dash.by.${by}`))));
  /** @type {any[]} */
  let environments = [];
  /** @type {any[]} */
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

  return async (/** @type {any[]} */ next) => {
    const answers = await Promise.all(next.map((environment) => getJson(decisionsPath(environment))));
    [environments, columns] = [next, answers];
    for (const id of ["#heatCsv", "#heatJson"]) /** @type {HTMLButtonElement} */ (find(id)).disabled = false;
    show();
  };
}
