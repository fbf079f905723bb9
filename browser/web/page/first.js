// @ts-check
/**
 * What the page shows first, while its other files still load: this browser, and what the public model knows about it.
 * It has few modules and waits for none of the others.
 */
/** @import { Result } from "../shared/operations" @import { Boot, Decisions, EngineDecisions, KernelEntry, LatestModel, Manifest } from "../shared/wire" */
import { element, fill, find, notice } from "../shared/dom.js";
import { detectEnvironment } from "../shared/environment.js";
import { crowdPath, decisionsFor, getJson } from "../shared/api.js";
import { count, say, times, translate } from "../shared/i18n.js";
import { keptJson } from "./offline.js";
import { showVersion } from "./live.js";
import * as storage from "../shared/storage.js";
import { term } from "../shared/terms.js";
import { expectedSpeedup, View } from "./view.js";

/** @typedef {{boot: Boot, latest: LatestModel, kernels: KernelEntry[]}} Answers */
/** @typedef {{environment: object, results: Result[]}} KeptResults what Python kept of an earlier visit (fleetune/app/session.py) */

export const environment = detectEnvironment();
export const view = new View();
const QUESTIONS = ["api/boot.json", "api/model/latest", "api/kernels", crowdPath(environment)];
const asked = Promise.all(QUESTIONS.map((path) => getJson(path)));
asked.catch(() => {}); // `now` shows the error

/** A mark for tests/benchmarks/startup.py, once. @param {string} name */
export function mark(name) {
  if (!performance.getEntriesByName(name).length) performance.mark(name);
}

export function showEnvironment() {
  const { browser, version, os, simd, relaxedSimd, threads, cores, arch } = environment;
  /** @type {(feature: string, on: boolean) => HTMLElement} */
  const flag = (feature, on) => term(feature, say(on ? "browser.yes" : "browser.no", { feature: say(`feature.${feature}`) }));
  const chips = [
    `${browser} ${version}`, os, flag("simd", simd), flag("relaxedSimd", relaxedSimd), flag("threads", threads),
    say("browser.cores", { cores }), ...(arch ? [say(`browser.${arch}`)] : []),
  ];
  fill(find("#environment"), ...chips.map((chip) => element("li", {}, chip)));
}

function noteFeatures() {
  if (typeof WebAssembly !== "object") notice(say("notice.noWasm"), "bad");
  else if (!environment.simd) notice(say("notice.noSimd"));
}

/** The view in a few figures. @param {LatestModel} latest */
export function showCrowd(latest) {
  const kernels = view.kernels().map((kernel) => expectedSpeedup(view.patterns(kernel).flatMap((pattern) => view.rows(kernel, pattern))));
  if (kernels.length) {
    find("#crowdSpeedup").textContent = times(expectedSpeedup(view.all()));
    find("#crowdRange").textContent = say("crowd.range", { low: times(Math.min(...kernels)), high: times(Math.max(...kernels)) });
  }
  find("#crowdKernels").textContent = count(kernels.length);
  const trained = latest.metadata?.trainedOn;
  find("#crowdSamples").textContent = trained
    ? say("crowd.sampleCount", { count: count(trained.labRows), reports: count(trained.reports) })
    : say("crowd.none");
}

/** The choices that can run here: without WebAssembly only JavaScript. @param {Decisions} decisions */
export function runnable(decisions) {
  if (typeof WebAssembly === "object") return decisions;
  for (const entry of Object.values(decisions.kernels).flatMap((patterns) => Object.values(patterns).flat())) {
    Object.assign(entry, { candidates: { js: 1 }, choice: "js", source: "only", speedup: 1, low: 1, high: 1 });
  }
  return decisions;
}

/** Show the answers to QUESTIONS: from here on the page is useful. @param {unknown[]} given @returns {Answers} */
function show(given) {
  const [boot, latest, catalogue, decisions] = /** @type {[Boot, LatestModel, Manifest, EngineDecisions]} */ (given);
  view.predict(runnable(decisionsFor(decisions, environment)));
  showVersion(decisions.version);
  showCrowd(latest);
  mark("content");
  return { boot, latest, kernels: catalogue.kernels };
}

/** Whether a stored value is a result that can be shown. @param {unknown} value @returns {value is Result} */
function isResult(value) {
  const { kernel, size, context, candidates, choice, source, first, heuristic } = /** @type {Partial<Result>} */ (value ?? {});
  const texts = [kernel, context?.pattern, choice, source, first, heuristic].every((text) => typeof text === "string");
  if (!texts || typeof size !== "number" || typeof candidates !== "object" || !candidates?.[String(choice)]) return false;
  return Object.values(candidates).every((one) => typeof one === "object" && one && (one.ok === false || (one.ok && one.speedup > 0 && one.spread >= 0)));
}

/** Show what this browser measured on an earlier visit. */
async function recall() {
  const kept = /** @type {KeptResults | undefined} */ (await storage.get("results"));
  if (!kept || JSON.stringify(kept.environment) !== JSON.stringify(environment)) return;
  let lost = 0;
  for (const result of Array.isArray(kept.results) ? kept.results : [undefined]) {
    if (isResult(result)) view.measure(result);
    else lost += 1;
  }
  if (lost) notice(say("notice.dropped", { count: count(lost) }), "bad");
}

/** @returns {Promise<Answers | undefined>} */
async function before() {
  // The markup is complete before DOMContentLoaded, which waits for every script.
  if (document.readyState === "loading") {
    await new Promise((next) => document.addEventListener("readystatechange", next, { once: true }));
  }
  translate();
  showEnvironment();
  noteFeatures();
  const [kept] = await Promise.all([Promise.all(QUESTIONS.map(keptJson)), recall()]);
  return kept.every(Boolean) ? show(kept) : undefined;
}

/** @returns {Promise<Answers | undefined>} */
async function now() {
  await earlier;
  const given = await asked.catch((error) => {
    console.warn(error); // page.js says it
    return undefined;
  });
  return given && show(given);
}

/** The answers that the last visit kept, shown at once. */
export const earlier = before();
/** The server's answers, which replace them; undefined if the server cannot be reached. */
export const answers = now();
