// @ts-check
/** The page: useful from the server's predictions at once; Python starts when it is first needed. */
import { benchCard } from "./bench_card.js";
import { heedHeader } from "./consent.js";
import { find } from "./dom.js";
import { answers, earlier, environment, mark, runnable, showCrowd, view } from "./first.js";
import { crowdDecisions, getJson } from "./get_json.js";
import { languageSwitch, say } from "./i18n.js";
import { liveEntry, liveState, liveSwap } from "./live.js";
import { notice } from "./notice.js";
import { registerServiceWorker } from "./offline.js";
import { privacyCard } from "./privacy_card.js";
import { Python } from "./python.js";
import { resultsSection } from "./results.js";
import { subscribe } from "./socket.js";
import * as storage from "./storage.js";
import { terms } from "./terms.js";

const python = new Python();

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

async function main() {
  languageSwitch(/** @type {HTMLSelectElement} */ (find("#language")));
  terms();
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

  /** @param {import("./first.js").Answers | undefined} answers */
  function showAnswers(answers) {
    if (!answers) return;
    showResults({ kernels: answers.kernels });
    mark("choice");
  }
  const known = await earlier;
  showAnswers(known);
  const fresh = await answers;
  showAnswers(fresh);
  if (!known && !fresh) nothingKnown();
  if (!(await storage.persistent())) notice(say("notice.storage"));

  const { boot, latest } = fresh ?? known ?? { boot: { policyRevision: 0 }, latest: { version: 0 } };
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
  let reached = () => {};
  subscribe({
    version: () => version,
    onVersion,
    onState(state) {
      liveState(state);
      if (state === "off") reached = notice(say("notice.offline"), "bad");
      else if (state !== "connecting") reached();
    },
  });
}

main();
