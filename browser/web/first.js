// @ts-check
/**
 * What the page says first, before anything is pressed and while its other files are still on their way: this browser,
 * and what everyone knows about it. Few modules, and nothing here waits for the others.
 */
import { element, fill, find } from "./dom.js";
import { detectEnvironment } from "./environment.js";
import { crowdPath, getJson, own } from "./get_json.js";
import { count, say, times, translate } from "./i18n.js";
import { keptJson } from "./kept_json.js";
import { showVersion } from "./live.js";
import { notice } from "./notice.js";
import * as storage from "./storage.js";
import { term } from "./terms.js";
import { expectedSpeedup, View } from "./view.js";

/** @typedef {{boot: any, latest: any, kernels: any[]}} Answers the catalogue's kernels */

export const environment = detectEnvironment();
export const view = new View();
const QUESTIONS = ["api/boot.json", "api/model/latest", "api/kernels", crowdPath(environment)];
const asked = Promise.all(QUESTIONS.map(getJson));
asked.catch(() => {}); // `now` says it

/** For tests/benchmarks/startup.py: the first time counts. @param {string} name */
export function mark(name) {
  if (!performance.getEntriesByName(name).length) performance.mark(name);
}

function showEnvironment() {
  const { browser, version, os, simd, relaxedSimd, threads, cores } = environment;
  /** @type {(feature: string, on: boolean) => HTMLElement} */
  const flag = (feature, on) => term(feature, say(on ? "browser.yes" : "browser.no", { feature: say(`feature.${feature}`) }));
  const chips = [
    `${browser} ${version}`, os, flag("simd", simd), flag("relaxedSimd", relaxedSimd), flag("threads", threads),
    say("browser.cores", { cores }),
  ];
  fill(find("#environment"), ...chips.map((chip) => element("li", {}, chip)));
  if (typeof WebAssembly !== "object") notice(say("notice.noWasm"), "bad");
  else if (!simd) notice(say("notice.noSimd"));
}

/** What the view holds by now, in a few figures. @param {any} latest */
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

/** What of everyone's choices can run here: without WebAssembly, JavaScript alone. @param {any} decisions */
export function runnable(decisions) {
  if (typeof WebAssembly === "object") return decisions;
  for (const entry of Object.values(decisions.kernels).flatMap((patterns) => Object.values(patterns).flat())) {
    Object.assign(entry, { candidates: { js: 1 }, choice: "js", source: "only", speedup: 1, low: 1, high: 1 });
  }
  return decisions;
}

/** Show the answers to QUESTIONS: the page is useful from here on. @param {any[]} given @returns {Answers} */
function show([boot, latest, catalogue, decisions]) {
  view.predict(runnable(own(decisions, environment)));
  showVersion(decisions.version);
  showCrowd(latest);
  mark("content");
  return { boot, latest, kernels: catalogue.kernels };
}

/** What an earlier visit measured, if it was this browser. */
async function recall() {
  const kept = await storage.get("results");
  if (JSON.stringify(kept?.environment) !== JSON.stringify(environment)) return;
  for (const result of kept.results) view.measure(result);
}

/** @returns {Promise<Answers | undefined>} */
async function before() {
  // The markup is there before DOMContentLoaded, which waits for every script.
  if (document.readyState === "loading") {
    await new Promise((next) => document.addEventListener("readystatechange", next, { once: true }));
  }
  translate();
  showEnvironment();
  const [kept] = await Promise.all([Promise.all(QUESTIONS.map(keptJson)), recall()]);
  return kept.every(Boolean) ? show(kept) : undefined;
}

/** @returns {Promise<Answers | undefined>} */
async function now() {
  await earlier;
  const given = await asked.catch((error) => {
    console.warn(error);
    notice(say("notice.offline"), "bad");
    return undefined;
  });
  return given && show(given);
}

/** The answers of the last visit, if it kept them: shown at once. */
export const earlier = before();
/** The server's answers, which replace them; undefined if it cannot be reached. */
export const answers = now();
