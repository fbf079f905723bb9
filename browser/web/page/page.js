// @ts-check
/** The page: shows the server's predictions at once; Python starts when it is first needed. */
/** @import { UpdateOutcome } from "../shared/operations" @import { LatestModel } from "../shared/wire" @import { Answers } from "./first" @import { Swap } from "./news" */
import { benchCard } from "./bench_card.js";
import { find, notice } from "../shared/dom.js";
import { answers, earlier, environment, mark, runnable, showCrowd, showEnvironment, view } from "./first.js";
import { crowdDecisions, getJson } from "../shared/api.js";
import { languageSwitch, say } from "../shared/i18n.js";
import { liveEntry, liveState } from "./live.js";
import { liveSwap } from "./news.js";
import { canMeasure, registerServiceWorker } from "./offline.js";
import { outcomeSection } from "./outcome_card.js";
import { privacyCard } from "./privacy_card.js";
import { Python } from "../shared/python.js";
import { resultsSection } from "./results.js";
import { sharedResult } from "./shared_result.js";
import { subscribe } from "../shared/socket.js";
import * as storage from "../shared/storage.js";
import { terms } from "../shared/terms.js";

const python = new Python();

/** On a first visit without the server: say what is missing. */
function nothingKnown() {
  for (const id of ["#crowdSpeedup", "#crowdKernels", "#crowdSamples", "#modelVersion"]) find(id).textContent = "–";
  find("#resultsEmpty").textContent = say("results.offline");
  find("#resultsBody").hidden = true;
}

/** The notice about an absent server, which says what works without it. */
class Absence {
  #turn = 0;
  #remove = () => {};

  /** @param {Answers | undefined} known what the page shows */
  async show(known) {
    const turn = ++this.#turn;
    const runs = known && (python.running || (await canMeasure(known.boot)));
    if (turn !== this.#turn) return;
    this.#remove();
    this.#remove = notice(say(!known ? "notice.offlineEmpty" : runs ? "notice.offlineRuns" : "notice.offline"), "bad");
  }

  over() {
    this.#turn += 1;
    this.#remove();
  }
}

/** Get the decisions of an announced version; the choices that changed. */
async function refreshDecisions(version = 0) {
  return view.predict(runnable(await crowdDecisions("", environment, version ? `?model=${version}` : "")));
}

/** Say why a model was refused; that the server's keys are not those of earlier visits, where nobody can miss it. @param {UpdateOutcome} outcome */
function rejected({ error = "", reason }) {
  const keys = reason?.startsWith("root-") && say(reason === "root-expired" ? "notice.rootExpired" : "notice.rootKeys");
  liveEntry("live.rejected", { reason: keys ? String(reason) : error });
  if (keys) notice(keys, "bad");
}

async function main() {
  terms();
  const showResults = resultsSection(view);
  const result = outcomeSection(view);
  const showShared = sharedResult();
  const absence = new Absence();
  const privacy = privacyCard(python, registerServiceWorker);
  // Before any waiting, so that the buttons work at once.
  const bench = benchCard(python, {
    onResult(result) {
      view.measure(result);
      showResults({ follow: { kernel: result.kernel, pattern: result.context.pattern } });
    },
    onDone(seconds, measured) {
      showResults({ seconds });
      const sentence = result.show();
      if (measured) result.present();
      beforeEveryone();
      privacy.refresh();
      registerServiceWorker();
      return sentence;
    },
  });
  /** @type {LatestModel | undefined} */
  let shown;
  let unknown = false;
  languageSwitch(/** @type {HTMLSelectElement} */ (find("#language")), () => {
    showEnvironment();
    if (shown) showCrowd(shown);
    showResults({ anew: true });
    if (unknown) nothingKnown();
    result.show();
    showShared();
    privacy.show();
  });
  let recovered = () => {};
  python.on("crash", ({ message }) => {
    recovered = notice(say("notice.crashed", { message }), "bad");
  });
  python.on("updated", (outcome) => {
    recovered();
    if (outcome.error) rejected(outcome);
  });

  /** @param {Answers | undefined} answers */
  function showAnswers(answers) {
    if (!answers) return;
    shown = answers.latest;
    showResults({ kernels: answers.kernels });
    mark("choice");
  }
  const known = await earlier;
  result.show(); // what an earlier visit measured
  showAnswers(known);
  const fresh = await answers;
  showAnswers(fresh);
  if (!fresh) absence.show(known);
  unknown = !known && !fresh;
  if (unknown) nothingKnown();
  if (!(await storage.persistent())) notice(say("notice.storage"));

  const { boot, latest } = fresh ?? known ?? { boot: null, latest: { version: 0 } };
  privacy.policy(boot);
  if (boot) bench.cost((await canMeasure(boot)) ? 0 : boot.measuringBytes);

  /** Compare with the choices of the oldest model that the server has: the difference is what everyone's reports brought. */
  async function beforeEveryone() {
    if (view.version < 2 || !view.measuredRows().length) return;
    view.compare(await crowdDecisions("", environment, "?model=first").catch(() => undefined));
    showResults();
  }
  beforeEveryone();

  let version = latest.version;
  /** Follow an announced version: a running Python fetches, verifies and swaps it; without Python the page only asks again. @param {number} announced */
  async function onVersion(announced) {
    if (announced === version) return;
    const from = version;
    /** @type {Swap} */
    let swap = { from, to: announced };
    if (python.running) {
      const outcome = await (await python.ops()).update();
      if (outcome.error) return rejected(outcome);
      swap = { from, to: outcome.version, kind: outcome.updateType, bytes: outcome.bytes };
    }
    version = swap.to;
    const change = await refreshDecisions(version);
    liveSwap(swap, change);
    showResults();
    shown = /** @type {LatestModel} */ (await getJson("api/model/latest"));
    showCrowd(shown);
    privacy.refresh();
  }
  subscribe({
    server: new URL("../../", import.meta.url),
    version: () => version,
    onVersion,
    onState(state) {
      liveState(state);
      if (state === "off") absence.show(fresh ?? known);
      else if (state !== "connecting") absence.over();
    },
  });
}

main();
