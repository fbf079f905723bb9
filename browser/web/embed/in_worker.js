// @ts-check
/**
 * Measure in a worker: the page starts the module that holds the job, the module calls `choose` there as it does on the page, and what
 * it finds comes back in the form that is kept in storage.
 */
import { isKept } from "./kept.js";
import { measureHere } from "./learn.js";
import { recordOf, save } from "./saved.js";

/** @typedef {import("./choose.js").Chooser} Chooser */
/** @typedef {{fleetune: string, kept?: unknown, trying?: string, outcome?: {stopped: boolean, seconds: number, measured: number}}} Message */

const START_MS = 5000; // until the worker says something
const HANG_MS = 3000; // that one try may take beyond the budget's own limits
const GRACE_MS = 1000;

/**
 * What measuring in the worker came to; undefined where no worker starts, as under a policy without `worker-src`.
 * @param {Chooser} chooser @param {number} budgetMs @param {AbortSignal} stop @param {boolean} all or only what is not known
 */
export async function ask(chooser, budgetMs, stop, all) {
  const began = performance.now();
  const { key, byName } = chooser;
  /** @type {Worker} */
  let worker;
  try {
    worker = new Worker(String(chooser.options.worker), { type: "module", name: ["fleetune", budgetMs, all ? 1 : 0, chooser.expected, key].join("|") });
  } catch {
    return undefined;
  }
  let [trying, heard, measured] = ["", false, 0];
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  /** @type {"done" | "none" | "hung" | "stopped"} */
  const end = await new Promise((resolve) => {
    const wait = (/** @type {number} */ ms) => (clearTimeout(timer), (timer = setTimeout(() => resolve(heard ? (trying ? "hung" : "done") : "none"), ms)));
    const left = () => budgetMs - (performance.now() - began) + GRACE_MS + START_MS;
    wait(START_MS);
    stop.addEventListener("abort", () => resolve("stopped"), { once: true });
    worker.onerror = (event) => (event.preventDefault(), resolve(heard ? "done" : "none"));
    worker.onmessage = ({ data }) => {
      /** @type {Message} */
      const message = data ?? {};
      if (message.fleetune !== key) return;
      heard = true;
      if (message.trying !== undefined) trying = message.trying;
      wait(trying ? Math.max(HANG_MS, budgetMs) : left());
      if (isKept(message.kept)) {
        chooser.adopt(message.kept);
        measured = message.outcome?.measured ?? measured + 1;
      }
      if (message.outcome) resolve("done");
    };
  });
  // @ts-ignore the promise's function ran
  clearTimeout(timer);
  worker.terminate();
  if (end === "none") return undefined;
  const hung = end === "hung" && byName.get(trying);
  if (hung) chooser.setAside(hung, "it did not return when it was tried in a worker");
  await chooser.prepare();
  await save(chooser);
  if (hung && budgetMs > GRACE_MS) return ask(chooser, budgetMs, stop, all);
  return { stopped: stop.aborted, seconds: (performance.now() - began) / 1000, measured, contexts: chooser.contexts() };
}

/** In the worker: measure the job that was asked for, and no other. @param {Chooser} chooser */
export async function answer(chooser) {
  const { name, postMessage } = /** @type {any} */ (globalThis);
  const [, budgetMs, all, calls, ...key] = String(name).split("|");
  if (key.join("|") !== chooser.key) return undefined;
  const post = (/** @type {Omit<Message, "fleetune">} */ message) => postMessage({ fleetune: chooser.key, ...message });
  const { trying } = chooser.job;
  chooser.job.trying = async (one) => (post({ trying: one }), await trying(one));
  chooser.calls = Number(calls);
  post({});
  const { stopped, seconds, measured, contexts } = await measureHere(chooser, Number(budgetMs), chooser.closed.signal, all === "1", () => post({ kept: recordOf(chooser) }));
  post({ kept: recordOf(chooser), outcome: { stopped, seconds, measured } });
  return { stopped, seconds, measured, contexts };
}
