// @ts-check
/** The page: useful from the server's predictions at once; Python starts when it is first needed. */
import { answers as asked, environment, QUESTIONS } from "./ask.js";
import { benchCard } from "./bench_card.js";
import { heedHeader } from "./consent.js";
import { element, fill, find } from "./dom.js";
import { crowdDecisions, getJson, own } from "./get_json.js";
import { keptJson } from "./kept_json.js";
import { count, languageSwitch, say, times, translate } from "./i18n.js";
import { liveEntry, liveState, liveSwap, showVersion } from "./live.js";
import { notice } from "./notice.js";
import { registerServiceWorker } from "./offline.js";
import { privacyCard } from "./privacy_card.js";
import { Python } from "./python.js";
import { resultsSection } from "./results.js";
import { subscribe } from "./socket.js";
import * as storage from "./storage.js";
import { terms } from "./terms.js";
import { geometricMean, View } from "./view.js";

const view = new View();
const python = new Python();

function showEnvironment() {
  const { browser, version, os, simd, relaxedSimd, threads, cores } = environment;
  /** @type {(feature: string, on: boolean) => string} */
  const flag = (feature, on) => say(on ? "browser.yes" : "browser.no", { feature });
  const chips = [
    `${browser} ${version}`, os, flag("SIMD", simd), flag("relaxed SIMD", relaxedSimd), flag("threads", threads),
    say("browser.cores", { cores }),
  ];
  fill(find("#environment"), ...chips.map((chip) => element("li", {}, chip)));
  if (typeof WebAssembly !== "object") notice(say("notice.noWasm"), "bad");
  else if (!simd) notice(say("notice.noSimd"));
}

/** @param {any} latest */
function showCrowd(latest) {
  const rows = view.all();
  if (rows.length) find("#crowdSpeedup").textContent = times(geometricMean(rows.map((row) => Math.max(row.expected, 1e-3))));
  find("#crowdKernels").textContent = count(view.kernels().length);
  const trained = latest.metadata?.trainedOn;
  find("#crowdSamples").textContent = trained
    ? say("crowd.sampleCount", { count: count(trained.labRows), reports: count(trained.reports) })
    : say("crowd.none");
}

/** The first visit, and the server is not there: say what is missing where it would be. */
function nothingKnown() {
  for (const id of ["#crowdSpeedup", "#crowdKernels", "#crowdSamples", "#modelVersion"]) find(id).textContent = "–";
  find("#resultsEmpty").textContent = say("results.offline");
  find("#resultsBody").hidden = true;
}

/** Ask for the newest decisions, of a version that was announced here; the count of choices that changed. */
async function refreshDecisions(version = 0) {
  return view.predict(runnable(await crowdDecisions("", environment, version)));
}

/** For tests/benchmarks/startup.py: the first time counts. @param {string} name */
function mark(name) {
  if (!performance.getEntriesByName(name).length) performance.mark(name);
}

/** What of everyone's choices can run here: without WebAssembly, JavaScript alone. @param {any} decisions */
function runnable(decisions) {
  if (typeof WebAssembly === "object") return decisions;
  for (const entry of Object.values(decisions.kernels).flatMap((patterns) => Object.values(patterns).flat())) {
    Object.assign(entry, { candidates: { js: 1 }, choice: "js", source: "only", speedup: 1 });
  }
  return decisions;
}

/** Show the answers to QUESTIONS: the page is useful from here on. @param {any[]} answers @param {(catalogue: any[]) => void} showResults */
function show([, latest, catalogue, decisions], showResults) {
  view.predict(runnable(own(decisions, environment)));
  showVersion(decisions.version);
  showCrowd(latest);
  mark("content");
  showResults(catalogue.kernels);
  mark("choice");
}

/** What an earlier visit measured, if it was this browser. */
async function recall() {
  const kept = await storage.get("results");
  if (JSON.stringify(kept?.environment) !== JSON.stringify(environment)) return;
  for (const result of kept.results) view.measure(result);
}

async function main() {
  translate();
  languageSwitch(/** @type {HTMLSelectElement} */ (find("#language")));
  terms();
  showEnvironment();
  const showResults = resultsSection(view);
  /** @type {{refresh: () => Promise<void>} | undefined} */
  let privacy;
  // Before anything is waited for: a press counts from now on.
  benchCard(python, {
    onResult(result) {
      view.measure(result);
      showResults({ follow: { kernel: result.kernel, pattern: result.context.pattern } });
    },
    onDone(seconds) {
      showResults({ seconds });
      beforeEveryone();
      privacy?.refresh();
      registerServiceWorker();
    },
  });
  let recovered = () => {};
  python.addEventListener("crash", (event) => {
    recovered = notice(say("notice.crashed", { message: /** @type {CustomEvent} */ (event).detail.message }), "bad");
  });

  python.addEventListener("updated", (event) => {
    recovered();
    const { error } = /** @type {CustomEvent} */ (event).detail;
    if (error) liveEntry("live.rejected", { reason: error });
  });

  // The answers of the last visit are there at once; the server's replace them.
  const [kept] = await Promise.all([Promise.all(QUESTIONS.map(keptJson)), recall()]);
  const known = kept.every(Boolean) ? kept : undefined;
  if (known) show(known, (kernels) => showResults({ kernels }));
  const answers = await asked.catch((error) => {
    console.warn(error);
    notice(say("notice.offline"), "bad");
    return undefined;
  });
  if (answers) show(answers, (kernels) => showResults({ kernels }));
  else if (!known) nothingKnown();
  if (!(await storage.persistent())) notice(say("notice.storage"));

  const [boot, latest] = answers ?? known ?? [{ policyRevision: 0 }, { version: 0 }];
  heedHeader(boot);
  privacy = await privacyCard(python, boot.policyRevision, registerServiceWorker);

  /** What the first model that the server still has would have chosen here: the measure of what everyone's reports brought. */
  async function beforeEveryone() {
    if (view.version < 2 || !view.measuredRows().length) return;
    const first = await crowdDecisions("", environment, "first").catch(() => undefined);
    if (!first || first.version === view.version) return;
    view.compare(first);
    showResults();
  }
  beforeEveryone();

  let version = latest.version;
  /** A new version was announced: Python fetches, verifies and swaps; without Python the page only asks again. @param {number} announced */
  async function onVersion(announced) {
    if (announced === version) return;
    const from = version;
    /** @type {import("./live.js").Swap} */
    let swap = { from, to: announced };
    if (python.running) {
      const outcome = await (await python.ops()).update();
      if (outcome.error) return liveEntry("live.rejected", { reason: outcome.error });
      swap = { from, to: outcome.version, kind: outcome.updateType, bytes: outcome.bytes };
    }
    version = swap.to;
    const change = await refreshDecisions(version);
    liveSwap(swap, change);
    showResults();
    showCrowd(await getJson("api/model/latest"));
    privacy?.refresh();
  }
  subscribe({ version: () => version, onVersion, onState: liveState });
}

main();
