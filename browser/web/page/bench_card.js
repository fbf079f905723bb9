// @ts-check
/** The benchmark card: run, pause, stop, and the progress. */
/** @import { Result } from "../shared/operations" @import { Python } from "../shared/python" */
import { element, find } from "../shared/dom.js";
import { count, megabytes, say, tell } from "../shared/i18n.js";
import { UnreachableError } from "../shared/protocol.js";
import { patternName } from "./results.js";
import { despiteSilence } from "../shared/rpc.js";

const BUDGETS_MS = { run: 20_000, thorough: 240_000 };

/**
 * @param {Python} python
 * @param {{onResult: (result: Result) => void, onDone: (seconds: number, measured: number) => string}} handlers
 */
export function benchCard(python, { onResult, onDone }) {
  const [run, thorough, pause, stop] = ["#run", "#thorough", "#pause", "#stop"].map(
    (id) => /** @type {HTMLButtonElement} */ (find(id)),
  );
  const bar = /** @type {HTMLProgressElement} */ (find("#progress"));
  const text = find("#progressText");
  const said = find("#said"); // for those who hear the page: the start, the half, the end
  let half = false;
  const possible = typeof WebAssembly === "object";
  let paused = false;
  let hiddenPause = false;
  let measured = 0;

  /** @param {boolean} busy */
  function busy(busy) {
    run.disabled = thorough.disabled = busy || !possible;
    pause.disabled = stop.disabled = !busy;
  }

  /** @param {boolean} on @param {string} [words] */
  async function setPaused(on, words = "bench.paused") {
    const ops = await python.ops();
    await (on ? ops.pause() : ops.resume());
    paused = on;
    tell(pause, on ? "run.resume" : "run.pause");
    if (on) tell(text, words);
  }

  /** @param {number} budgetMs */
  async function start(budgetMs) {
    busy(true);
    measured = 0;
    bar.removeAttribute("value"); // indeterminate while Python starts
    tell(text, "bench.boot", { stage: "" });
    tell(said, "said.started");
    half = false;
    try {
      const outcome = await despiteSilence(async () => (await python.ops()).benchmark({ budgetMs, headline: true }));
      const { seconds } = outcome; // of measuring: without Python's start and pauses
      if (outcome.stopped) tell(text, "bench.stopped", { done: count(measured) });
      else tell(text, "bench.done", { done: count(measured), seconds: count(Math.round(seconds)) });
      const result = onDone(seconds, measured);
      tell(said, "said.done", { result });
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      for (const node of [text, said]) tell(node, error instanceof UnreachableError ? "bench.unreachable" : "bench.failed", { message });
    } finally {
      bar.value = measured ? 1 : 0;
      paused = false;
      tell(pause, "run.pause");
      busy(false);
    }
  }

  /** Say what a press costs: the time of measuring, and what is fetched first. @param {number | null} bytes null if that is not known */
  function cost(bytes) {
    if (!possible) return;
    const seconds = count(BUDGETS_MS.run / 1000);
    const key = bytes === null ? "run.hint" : bytes ? "run.fetches" : "run.kept";
    tell(find("#runHint"), key, { seconds, size: megabytes(bytes ?? 0) });
  }

  busy(false);
  cost(null);
  if (!possible) for (const node of [text, find("#runHint")]) tell(node, "why.only");
  run.addEventListener("click", () => {
    find("#benchmark").scrollIntoView({ block: "nearest" });
    start(BUDGETS_MS.run);
  });
  thorough.addEventListener("click", () => start(BUDGETS_MS.thorough));
  pause.addEventListener("click", () => setPaused(!paused));
  stop.addEventListener("click", async () => {
    stop.disabled = true;
    tell(text, "bench.stopping");
    await (await python.ops()).stop();
  });
  document.addEventListener("visibilitychange", () => {
    if (stop.disabled || !python.running) return;
    if (document.hidden && !paused) {
      hiddenPause = true;
      setPaused(true, "bench.hidden");
    } else if (!document.hidden && hiddenPause) {
      hiddenPause = false;
      setPaused(false);
    }
  });

  python.on("boot", ({ stage }) => {
    tell(text, "bench.boot", { stage });
  });
  python.on("progress", ({ done, total, kernel, size, pattern, copied, secondsLeft }) => {
    bar.value = total ? done / total : 0;
    if (!half && bar.value >= 0.5) {
      half = true;
      tell(said, "said.half");
    }
    if (paused || stop.disabled) return;
    const shown = patternName(copied && !pattern.endsWith("+copied") ? `${pattern}+copied` : pattern);
    text.textContent = say("bench.progress", {
      kernel, size: count(size), pattern: shown, done: count(done), total: count(total), seconds: count(Math.ceil(secondsLeft)),
    });
  });
  python.on("result", (result) => {
    measured += 1;
    onResult(result);
  });
  python.on("setAside", (detail) => {
    const list = find("#setAside");
    list.hidden = false;
    list.append(element("li", {}, say("bench.setAside", detail)));
  });
  return { cost };
}
