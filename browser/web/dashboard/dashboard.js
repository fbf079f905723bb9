// @ts-check
/** The dashboard: `GET /api/metrics` and `GET /api/decisions` as tiles, charts and the tables behind them. */
/** @import { Metrics, Trial, Version } from "../shared/wire" */
import * as panels from "./tables.js";
import { element, fill, find, notice } from "../shared/dom.js";
import { getJson } from "../shared/api.js";
import { heatMap } from "./heat_map.js";
import { clock, count, day, kilobytes, languageSwitch, percent, say, translate } from "../shared/i18n.js";
import { download, panel, written } from "./panel.js";
import { term, terms } from "../shared/terms.js";

const REFRESH_MS = 30_000;
const METRICS = Object.keys(panels.METRICS);
const TILES = { dAccuracy: "accuracy", dRegret: "regret", dSpeedup: "geomean_speedup", dOptimal: "optimal", dNear: "optimal_within_3pct", dCoverage: "coverage" };

/** @type {Record<string, string>} metrics whose names are explained */
const TERMS = { accuracy: "accuracy", mae: "mae", regret: "regret", optimal: "optimal", optimal_within_3pct: "near", geomean_speedup: "speedup", coverage: "coverage" };

/** An interval in words; empty if there is none. @param {(value: number) => string} write @param {number | null} low @param {number | null} high */
function between(write, low, high) {
  return low === null || high === null ? "" : say("dash.interval", { low: write(low), high: write(high) });
}

/** @param {string} id @param {string} main @param {string} [range] */
function tile(id, main, range = "") {
  find(`#${id}`).textContent = main;
  const below = find(`#${id}Range`);
  below.textContent = range;
}

/** @param {Metrics} metrics */
function tiles(metrics) {
  const last = metrics.versions.findLast(({ version }) => version === metrics.version) ?? metrics.versions.at(-1);
  if (!last) return;
  tile("dVersion", count(last.version), day(new Date(1000 * last.created)));
  for (const [id, name] of Object.entries(TILES)) {
    const [value, low, high] = panels.figure(last, name);
    tile(id, written(name, value), between((end) => written(name, end), low, high));
  }
  tile("dReports", count(last.metadata.trainedOn.reports), say("dash.ofReports", { fresh: count(metrics.learning.fresh), every: count(metrics.retrainPackets) }));
  const people = metrics.contributors;
  tile("dContributors", count(people.count), between((end) => count(Math.round(end)), people.low, people.high));
  const shared = metrics.adoption;
  tile("dAdoption", shared.share === null ? "–" : percent(shared.share), shared.share === null ? say("dash.fewSessions", { count: count(shared.sessions) }) : between(percent, shared.low, shared.high));
  const { answers, share, low, high } = metrics.satisfaction;
  /** @type {(value: number) => string} */
  const within = (value) => percent(Math.min(1, Math.max(0, value)));
  tile("dSatisfaction", share === null ? "–" : within(share), share === null ? say("dash.fewAnswers", { count: count(answers) }) : between(within, low, high));
}

/** @param {Version} version @returns {(string | number | null)[]} */
function versionRow(version) {
  const { trainedOn } = version.metadata;
  return [version.version, version.created, trainedOn.reports, version.size, ...METRICS.map((name) => panels.figure(version, name)[0]), version.trial?.state ?? null, version.gate.join("; ")];
}
const VERSION_COLUMNS = ["version", "time", "reports", "size", ...METRICS, "trial", "gate"];

/** The state of a version's trial; the server's reasons are in English. @param {Trial | null} trial */
function trialWords(trial) {
  if (!trial) return false;
  const reason = trial.reason && element("span", { lang: "en" }, ` (${trial.reason})`);
  return element("p", {}, term("trial", say("dash.trial")), `: ${say(`dash.trial.${trial.state}`)}`, reason);
}

/** The trial under way, if there is one. @param {Metrics} metrics */
function trial({ versions }) {
  const tried = versions.findLast((version) => version.trial?.state === "trying");
  const note = find("#trial");
  note.hidden = !tried;
  if (!tried?.trial) return;
  const { share, began, stable } = tried.trial;
  const since = new Date(1000 * began);
  note.textContent = say("dash.trying", { version: count(tried.version), share: percent(share), time: `${day(since)} ${clock(since)}`, stable: count(stable) });
}

/** How the simulation was made. @param {Metrics} metrics */
function simulatedHow({ simulation }) {
  const how = find("#simulatedHow");
  how.hidden = !simulation;
  if (!simulation) return;
  const { command, date, cells, parameters } = simulation;
  how.textContent = say("dash.simulatedHow", { command, date: day(new Date(date)), cells: count(cells), epsilon: count(parameters.epsilon), seed: count(parameters.seed) });
}

/** @param {Metrics} metrics */
function versionsTable({ versions, learning }) {
  const heads = ["dash.version", "dash.when", "dash.reports", "dash.size"].map((head) => say(head));
  const explained = METRICS.map((name) => (TERMS[name] ? term(TERMS[name], say(`metric.${name}`)) : say(`metric.${name}`)));
  fill(find("#versionsTable thead"), element("tr", {}, ...[...heads, ...explained].map((head) => element("th", { scope: "col" }, head))));
  const rows = versions.toReversed().flatMap((version) => {
    const [number, , reports, size, ...rest] = versionRow(version);
    const when = new Date(1000 * version.created);
    const figures = element(
      "tr", { class: "figures" },
      element("th", { scope: "row" }, count(Number(number))),
      element("td", {}, `${day(when)} ${clock(when)}`),
      element("td", {}, count(Number(reports))),
      element("td", {}, kilobytes(Number(size))),
      ...METRICS.map((name, i) => element("td", {}, written(name, rest[i]))),
    );
    const gate = version.gate.length > 0 && element("p", {}, term("gate", say("dash.gate")), ": ", element("span", { lang: "en" }, version.gate.join("; ")));
    const verdicts = element("td", { class: "verdicts", colspan: String(4 + METRICS.length) }, gate, trialWords(version.trial));
    return [figures, element("tr", {}, verdicts)];
  });
  fill(find("#versionsTable tbody"), ...rows);
  const refused = find("#refused");
  refused.hidden = learning.outcome !== "refused";
  if (!refused.hidden) refused.textContent = say("dash.refused", { reasons: learning.reasons.join("; ") });
}

async function main() {
  translate();
  languageSwitch(/** @type {HTMLSelectElement} */ (find("#language")));
  terms();
  const metric = /** @type {HTMLSelectElement} */ (find("#metric"));
  const over = /** @type {HTMLSelectElement} */ (find("#over"));
  fill(metric, ...METRICS.map((name) => element("option", { value: name }, say(`metric.${name}`))));
  fill(over, ...["version", "reports"].map((name) => element("option", { value: name }, say(`dash.over.${name}`))));
  const draw = {
    quality: panel(find("#quality-panel")),
    recorded: panel(find("#recorded"), { empty: "dash.noReports" }),
    simulated: panel(find("#simulated"), { empty: "dash.noSimulation" }),
    packets: panel(find("#packets")),
    published: panel(find("#published")),
    latency: panel(find("#latency"), { empty: "dash.noLatency" }),
  };
  const heat = heatMap();
  /** @type {Metrics} */
  let metrics;
  let drawn = "";

  function quality() {
    draw.quality(panels.quality(metrics, metric.value, /** @type {"version" | "reports"} */ (over.value)));
  }

  async function refresh() {
    metrics = /** @type {Metrics} */ (await getJson("api/metrics"));
    tiles(metrics);
    const state = JSON.stringify([metrics.versions, metrics.hours, metrics.telemetryToModel, metrics.learning.outcome]);
    if (state === drawn) return;
    drawn = state;
    versionsTable(metrics);
    trial(metrics);
    simulatedHow(metrics);
    /** @type {HTMLButtonElement} */ (find("#csv")).disabled = false;
    quality();
    draw.recorded(panels.recorded(metrics));
    draw.simulated(panels.simulated(metrics));
    draw.packets(panels.packets(metrics));
    draw.published(panels.published(metrics));
    draw.latency(panels.latency(metrics));
    await heat(metrics.environments);
  }
  /** @param {unknown} error */
  const offline = (error) => {
    console.warn(error);
    drawn = "";
    notice(say("notice.offline"), "bad");
  };
  metric.addEventListener("change", quality);
  over.addEventListener("change", quality);
  find("#csv").addEventListener("click", () => download("fleetune-versions.csv", panels.csv({ columns: VERSION_COLUMNS, rows: metrics.versions.map(versionRow) }), "text/csv"));
  const again = () => refresh().then(() => fill(find("#notices")), offline);
  await refresh().catch(offline);
  setInterval(again, REFRESH_MS);
  addEventListener("online", again);
  document.addEventListener("visibilitychange", () => document.hidden || again());
}

main();
