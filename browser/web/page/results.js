// @ts-check
/** The results: pickers, the table and its chart, the four tiles, and the ways of choosing compared. */
import { speedupChart } from "./speedup_chart.js";
import { breakable, ideaWords, kernelWords, patternWords } from "../shared/glossary.js";
import { count, language, percent, say, sayOr, times } from "../shared/i18n.js";
import { element, find, fill } from "../shared/dom.js";
import { progressBar } from "../shared/plot.js";
import { expectedSpeedup, policies } from "./view.js";

/** @import { KernelEntry } from "../shared/wire" @import { Row, View } from "./view" */

const COPIED = "+copied";

/** @param {string} pattern */
export function patternName(pattern) {
  return pattern.endsWith(COPIED) ? say("pattern.copied", { pattern: patternWords(pattern.slice(0, -COPIED.length)) }) : patternWords(pattern);
}

/** @param {Row} row @param {string} name */
function cell(row, name) {
  const { measured, predicted, ok } = row.candidates[name] ?? {};
  const chosen = name === row.choice;
  const kinds = [chosen && "chosen", ok === false && "wrong", !measured && ok !== false && "guess"];
  const guess = predicted ? say("results.predicted", { speedup: times(predicted) }) : "";
  const main = ok === false ? say("results.wrong") : measured ? times(measured) : guess || "–";
  const between = chosen && !measured && row.interval && row.interval[0] < row.interval[1] && row.interval.map(times).join(" – ");
  const below = main !== guess ? guess : between || "";
  const mark = chosen ? element("span", { class: "visually-hidden" }, ` (${say("results.choice")})`) : "";
  return element("td", { class: kinds.filter(Boolean).join(" ") }, main, mark, below && element("small", {}, below));
}

/** Python's sentence has the figures and is English. @param {Row} row */
function why(row) {
  return (language === "en" && row.why) || say(`why.${row.source}`);
}

/** Candidates down, sizes across; then the choice and why. @param {Row[]} rows */
function table(rows) {
  const names = Object.keys(rows[0].candidates);
  /** @type {(head: string, cells: Node[], kind: string) => HTMLElement} */
  const line = (head, cells, kind) => element("tr", { class: kind }, element("th", { scope: "row" }, ...breakable(head)), ...cells);
  const sizes = rows.map((row) => element("th", { scope: "col" }, count(row.size)));
  fill(find("#resultsTable thead"), element("tr", {}, element("th", { scope: "col" }, say("results.size")), ...sizes));
  fill(
    find("#resultsTable tbody"),
    ...names.map((name) => line(name, rows.map((row) => cell(row, name)), "")),
    line(
      say("results.choice"),
      rows.map((row) => element("td", {}, ...breakable(row.choice), element("small", {}, sayOr(`source.${row.source}`)))),
      "choices",
    ),
    line(say("results.why"), rows.map((row) => element("td", {}, element("small", {}, ...breakable(why(row))))), "choices"),
  );
}

/** What the candidates' names are made of. @param {Row[]} rows */
function names(rows) {
  const ideas = new Set(Object.keys(rows[0].candidates).flatMap((name) => name.split("+")));
  fill(
    find("#nameList"),
    ...[...ideas].flatMap((idea) => {
      const words = ideaWords(idea);
      return words ? [element("dt", {}, idea), element("dd", {}, words)] : [];
    }),
  );
}

/** @param {Row[]} rows */
function chartText(rows) {
  const choices = rows.map((row) =>
    say("chart.choiceAt", { candidate: row.choice, size: count(row.size), speedup: times(row.expected) }),
  );
  return say("chart.text", { kernel: rows[0].kernel, choices: choices.join("; ") });
}

/** One way of choosing: its name, a bar for its share of the best, and both figures. @param {string} name @param {string} label @param {{speedup: number, ofBest: number}} figures */
function bar(name, label, { speedup, ofBest }) {
  const of = element("small", {}, say("together.ofBest", { share: percent(ofBest) }));
  return element("li", { class: name }, element("span", { class: "what" }, label), progressBar(ofBest), element("strong", {}, times(speedup)), of);
}

/** @param {View} view with measurements @param {number} seconds that they took */
function together(view, seconds) {
  const rows = view.measuredRows();
  const table = policies(rows);
  find("#tileSpeedup").textContent = times(table.choice.speedup);
  find("#tileSpeedupWords").textContent = say("tile.speedup");
  find("#tileOracle").textContent = percent(table.choice.ofBest);
  find("#tileHeuristic").textContent = percent(table.heuristic.ofBest);
  find("#tileFirst").textContent = percent(table.first.ofBest);
  find("#togetherText").textContent = say("together.text", { count: count(rows.length), right: count(table.first.near) });
  const versions = { first: view.comparedWith ?? 0, last: view.version };
  fill(
    find("#policies"),
    ...Object.entries(table).map(([name, figures]) => bar(name, say(`together.${name === "best" && seconds ? "bestIn" : name}`, { ...versions, seconds: count(Math.round(seconds)) }), figures)),
  );
  find("#policies").hidden = false;
  const model = find("#togetherModel");
  model.hidden = false;
  if (!table.before) {
    // Version 1 is the first: there is nothing before it. Of others, only the server knows.
    model.textContent = say(view.version < 2 ? "together.alone" : view.comparedWith === undefined ? "together.notAsked" : "together.offShelf");
    return;
  }
  const [before, after] = [percent(table.before.ofBest), percent(table.first.ofBest)];
  model.textContent = say(before === after ? "together.same" : "together.gained", { ...versions, before, after });
}

/** The results section over a view; call the returned function after every change. @param {View} view */
export function resultsSection(view) {
  const kernel = /** @type {HTMLSelectElement} */ (find("#kernel"));
  const pattern = /** @type {HTMLSelectElement} */ (find("#pattern"));
  const chart = speedupChart(find("#chart"));
  /** @type {Map<string, string>} */
  let summaries = new Map();
  let took = 0;

  let anew = false;
  /** @type {KernelEntry[]} */
  let catalogue = [];

  /** @param {HTMLSelectElement} select @param {string[]} values @param {(value: string) => string} label */
  function options(select, values, label) {
    if (!anew && [...select.options].map((option) => option.value).join() === values.join()) return;
    const chosen = select.value;
    fill(select, ...values.map((value) => element("option", { value }, label(value))));
    if (values.includes(chosen)) select.value = chosen;
  }

  function show() {
    options(kernel, view.kernels(), (name) => name);
    options(pattern, view.patterns(kernel.value), patternName);
    const rows = view.rows(kernel.value, pattern.value);
    find("#kernelSummary").textContent = summaries.get(kernel.value) ?? "";
    if (!rows.length) return;
    table(rows);
    names(rows);
    chart(rows);
    find("#chartText").textContent = chartText(rows);
  }
  let picked = false; // by the visitor, since the last run ended: then nothing else is shown in its place
  for (const select of [kernel, pattern]) {
    select.addEventListener("change", () => {
      picked = true;
      show();
    });
  }

  /** @param {{kernels?: KernelEntry[], seconds?: number, follow?: {kernel: string, pattern: string}, anew?: boolean}} [news] `kernels`: the catalogue's; `anew`: in another language */
  return function update({ kernels, seconds, follow, ...news } = {}) {
    anew = news.anew ?? false;
    catalogue = kernels ?? catalogue;
    if (kernels || anew) summaries = new Map(catalogue.map((entry) => [entry.name, `${kernelWords(entry.name, entry.summary)} (${entry.dtype})`]));
    took = seconds ?? took;
    options(kernel, view.kernels(), (name) => name);
    if (seconds !== undefined) picked = false;
    if (follow && !picked && document.activeElement !== kernel && document.activeElement !== pattern) {
      kernel.value = follow.kernel;
      options(pattern, view.patterns(follow.kernel), patternName);
      pattern.value = follow.pattern;
    }
    show();
    const rows = view.measuredRows();
    find("#resultsEmpty").textContent = say(rows.length ? "results.measured" : typeof WebAssembly === "object" ? "results.empty" : "why.only");
    if (rows.length) together(view, took);
    else find("#tileSpeedup").textContent = view.all().length ? times(expectedSpeedup(view.all())) : "–";
  };
}
