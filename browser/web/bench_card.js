// @ts-check
/** The benchmark card: run, pause, stop, and what is under way. */
import { element, find } from "./dom.js";
import { count, say } from "./i18n.js";
import { UnreachableError } from "./protocol.js";
import { patternName } from "./results.js";
import { despiteSilence } from "./rpc.js";

/** @typedef {import("./python.js").Python} Python */

const BUDGETS_MS = { run: 20_000, thorough: 240_000 };

/**
 * @param {Python} python
 * @param {{onResult: (result: any) => void, onDone: (seconds: number) => void}} handlers
 */
export function benchCard(python, { onResult, onDone }) {
  const [run, thorough, pause, stop] = ["#run", "#thorough", "#pause", "#stop"].map(
    (id) => /** @type {HTMLButtonElement} */ (find(id)),
  );
  const bar = /** @type {HTMLProgressElement} */ (find("#progress"));
  const text = find("#progressText");
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
    pause.textContent = say(on ? "run.resume" : "run.pause");
    if (on) text.textContent = say(words);
  }

  /** @param {number} budgetMs */
  async function start(budgetMs) {
    busy(true);
    measured = 0;
    bar.removeAttribute("value"); // indeterminate while Python starts
    text.textContent = say("bench.boot", { stage: "" });
    const began = performance.now();
    try {
      const outcome = await despiteSilence(async () => (await python.ops()).benchmark({ budgetMs }));
      const seconds = (performance.now() - began) / 1000;
      text.textContent = outcome.stopped
        ? say("bench.stopped", { done: count(measured) })
        : say("bench.done", { done: count(measured), seconds: count(Math.round(seconds)) });
      onDone(outcome.seconds ?? seconds);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      text.textContent = error instanceof UnreachableError ? say("bench.unreachable") : say("bench.failed", { message });
    } finally {
      bar.value = measured ? 1 : 0;
      paused = false;
      pause.textContent = say("run.pause");
      busy(false);
    }
  }

  busy(false);
  if (!possible) text.textContent = find("#runHint").textContent = say("why.only");
  run.addEventListener("click", () => {
    find("#benchmark").scrollIntoView({ block: "nearest" });
    start(BUDGETS_MS.run);
  });
  thorough.addEventListener("click", () => start(BUDGETS_MS.thorough));
  pause.addEventListener("click", () => setPaused(!paused));
  stop.addEventListener("click", async () => {
    stop.disabled = true;
    text.textContent = say("bench.stopping");
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

  python.addEventListener("boot", (event) => {
    const { stage } = /** @type {CustomEvent} */ (event).detail;
    text.textContent = say("bench.boot", { stage });
  });
  python.addEventListener("progress", (event) => {
    const { done, total, kernel, size, pattern, copied, secondsLeft } = /** @type {CustomEvent} */ (event).detail;
    bar.value = total ? done / total : 0;
    if (paused || stop.disabled) return;
    const shown = patternName(copied && !pattern.endsWith("+copied") ? `${pattern}+copied` : pattern);
    text.textContent = say("bench.progress", {
      kernel, size: count(size), pattern: shown, done: count(done), total: count(total), seconds: count(Math.ceil(secondsLeft)),
    });
  });
  python.addEventListener("result", (event) => {
    measured += 1;
    onResult(/** @type {CustomEvent} */ (event).detail);
  });
  python.addEventListener("setAside", (event) => {
    const list = find("#setAside");
    list.hidden = false;
    list.append(element("li", {}, say("bench.setAside", /** @type {CustomEvent} */ (event).detail)));
  });
}
