// @ts-check
/** Measuring for an embedding page: first kernels alone, in Python's bench worker, then calls as this page makes them (calls_worker.js). */
/** @import { CallsOperations, CallTimes, LocalDecision, PythonOperations, Remote } from "../shared/operations" @import { RemoteWorker } from "../shared/rpc" */
/** @import { DecisionTables, Environment } from "../shared/wire" @import { BenchmarkOptions } from "./fleetune" @import { TunedKernel } from "./tuned_kernel" */
import { keep, withConfirmed } from "./confirmed.js";
import { connectWorker, despiteSilence } from "../shared/rpc.js";

/** @import { Confirmed } from "./confirmed" */
/** @typedef {(confirm: (tables: DecisionTables) => DecisionTables) => Promise<unknown>} Follow follows the newest decisions, with the confirmed ones put in */

const COPIED = "+copied";
const LEADERS = 3; // modules timed beside JavaScript, the choice and the safe default
/** A candidate must be 3 % faster to replace the safe default: the best of ten equal ones is only lucky. */
const CLEARLY = 0.97;
const START_MS = 15_000;
const HANG_MS = 5_000;
const ALONE = 1 / 3; // of the budget, for kernels alone
const [LEAST_BUDGET_MS, MOST_BUDGET_MS] = [100, 3_600_000]; // that Python accepts (app/benchmark.py)

/**
 * The candidates worth timing in one context: the choice, the safe default, the JavaScript baselines, the modules that are
 * expected to be fast, and the choice for the size before.
 * @param {LocalDecision} row @param {string[]} baselines @param {string | undefined} before
 */
function candidatesOf(row, baselines, before) {
  const expected = { ...row.candidates, ...row.measured };
  const modules = Object.keys(expected).filter((name) => !baselines.includes(name));
  const leaders = modules.sort((a, b) => expected[b] - expected[a]).slice(0, LEADERS);
  return [...new Set([...baselines, row.choice, row.default, before ?? row.choice, ...leaders])].filter((name) => name in expected);
}

/** The decision that these times lead to. @param {LocalDecision} row @param {Record<string, CallTimes>} times @returns {LocalDecision} */
export function confirmed(row, times) {
  const fastest = Object.keys(times).reduce((best, next) => (times[next].fast < times[best].fast ? next : best));
  const choice = CLEARLY * times[row.default]?.fast < times[fastest].fast ? row.default : fastest;
  const [js, own] = [times.js, times[choice]];
  const ns = (/** @type {number} */ ms) => `${Math.round(ms * 1e6)} ns`;
  const why =
    choice === "js"
      ? `Timed here as this page calls it: JavaScript itself is the fastest (${ns(js.fast)} a call).`
      : `Timed here as this page calls it: ${choice} takes ${ns(own.fast)} a call, JavaScript ${ns(js.fast)}.`;
  return { ...row, choice, speedup: js.fast / own.fast, low: js.fast / own.median, high: js.median / own.fast, source: "measured", why };
}

/** Small sizes first: there the cost of calling a module matters most. @param {TunedKernel} kernel @param {Record<string, LocalDecision[]> | undefined} patterns */
function cellsOf(kernel, patterns) {
  // First the arrays that the page uses: ordinary ones, or those in the kernel's memory.
  const modes = kernel.arena.used ? ["", COPIED] : [COPIED, ""];
  return modes.flatMap((mode) =>
    (patterns?.[kernel.pattern + mode] ?? []).map((row) => ({ pattern: kernel.pattern + mode, copied: mode === COPIED, row })),
  );
}

/**
 * Decisions for the contexts that could be timed within the budget, which the kernels share.
 * @param {{server: string, root: string, kernels: TunedKernel[], tables: DecisionTables<LocalDecision>, budgetMs: number, signal?: AbortSignal}} args
 * @returns {Promise<Confirmed[]>}
 */
async function confirmCalls({ server, root, kernels, tables, budgetMs, signal }) {
  const until = performance.now() + budgetMs;
  /** @param {(kernel: TunedKernel) => number} of */
  const most = (of) => Math.max(0, ...kernels.map(of));
  const least = { dataEnd: most(({ entry }) => entry.dataEnd), pages: { least: most(({ entry }) => entry.pages?.least ?? 0) }, memoryBytes: most(({ memoryBytes }) => memoryBytes) };
  /** @type {Confirmed[]} */
  const found = [];
  /** @type {RemoteWorker<CallsOperations> | undefined} */
  let worker;
  for (const [turn, kernel] of kernels.entries()) {
    const { entry } = kernel;
    const began = performance.now();
    const share = (until - began) / (kernels.length - turn);
    try {
      for (const { pattern, copied, row } of cellsOf(kernel, tables[entry.name])) {
        if (performance.now() - began >= share || signal?.aborted) break;
        if (!worker) {
          worker = await connectWorker(`${server}static/workers/calls_worker.js`, { timeout: START_MS });
          await worker.call("open", least, { timeout: START_MS });
        }
        const before = found.findLast((one) => one.kernel === entry.name)?.row.choice;
        const cell = { entry, root, pattern: kernel.pattern, size: row.size, copied, candidates: candidatesOf(row, entry.baselines, before), settled: row.source === "measured", budgetMs: began + share - performance.now() };
        const times = await worker.call("time", cell, { timeout: HANG_MS + cell.budgetMs });
        if (times.js) found.push({ kernel: entry.name, pattern, size: row.size, row: confirmed(row, times) });
      }
    } catch {
      worker?.end(); // it hangs or died: the rest of this kernel keeps its decisions
      worker = undefined;
    }
  }
  worker?.end();
  return found;
}

/**
 * Measure in Python's bench worker, time the calls of the kernels that this page has loaded, then follow both.
 * @param {() => Promise<Remote<PythonOperations>>} start gives Python's operations @param {BenchmarkOptions} options @param {string} server @param {Environment} environment @param {string} root of the kernels' files
 * @param {Map<string, TunedKernel>} loaded @param {Follow} follow
 */
export function measure(start, options, server, environment, root, loaded, follow) {
  const { budgetMs = LEAST_BUDGET_MS, kernels = [], signal } = options;
  if (typeof budgetMs !== "number" || !(budgetMs >= LEAST_BUDGET_MS && budgetMs <= MOST_BUDGET_MS)) {
    throw new RangeError(`Fleetune: budgetMs of benchmark must be a number from ${LEAST_BUDGET_MS} to ${MOST_BUDGET_MS}, not ${String(budgetMs)}`);
  }
  const odd = Array.isArray(kernels) ? kernels.find((name) => typeof name !== "string") : kernels;
  if (odd !== undefined) throw new TypeError(`Fleetune: kernels of benchmark must be a list of names, not ${String(odd)}`);
  if (signal !== undefined && typeof signal?.throwIfAborted !== "function") throw new TypeError(`Fleetune: signal of benchmark must be an AbortSignal, not ${String(signal)}`);
  signal?.throwIfAborted();
  return despiteSilence(async () => measureWith(await start(), options, server, environment, root, loaded, follow));
}

/**
 * @param {Remote<PythonOperations>} ops @param {BenchmarkOptions} options @param {string} server @param {Environment} environment @param {string} root
 * @param {Map<string, TunedKernel>} loaded @param {Follow} follow
 */
async function measureWith(ops, { budgetMs = 2000, kernels, signal }, server, environment, root, loaded, follow) {
  signal?.throwIfAborted();
  await ops.update();
  const stop = () => ops.stop();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    signal?.throwIfAborted();
    const here = [...loaded.values()].filter(({ entry }) => !kernels || kernels.includes(entry.name));
    const alone = here.length ? Math.max(LEAST_BUDGET_MS, budgetMs * ALONE) : budgetMs;
    const outcome = await ops.benchmark({ budgetMs: alone, kernels });
    const { kernels: tables } = await ops.decisions();
    const rows = outcome.stopped ? [] : await confirmCalls({ server, root, kernels: here, tables, budgetMs: budgetMs - alone, signal });
    const known = await keep(server, environment, root, tables, rows);
    // Both at once, because every change uses up call sites (tuned_kernel.js); and a new model may have come meanwhile.
    await follow((given) => withConfirmed(given, known));
    return { ...outcome, confirmed: rows.length };
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
