// @ts-check
/** Measuring for a page, fetched when it does: kernels in Python's bench worker, then calls as this page makes them (calls_worker.js). */
import { connectWorker, despiteSilence } from "./rpc.js";

/** @typedef {import("./tuned_kernel.js").TunedKernel} TunedKernel */
/**
 * @typedef {{size: number, log2Size: number, choice: string, speedup: number, low: number, high: number, source: string,
 *   why?: string, candidates: Record<string, number>}} Decision
 */
/** @typedef {{kernel: string, pattern: string, size: number, row: Decision}} Confirmed `pattern` with its copy marker */

const COPIED = "+copied";
const LEADERS = 3; // modules timed beside JavaScript, the choice and the safe default
/** By how much less time another must take to displace the safe default: of ten that are alike, the one that looks best is lucky. */
const CLEARLY = 0.97;
const START_MS = 15_000;
const HANG_MS = 5_000;
const ALONE = 1 / 3; // of the budget, for kernels timed without the way to them
const LEAST_BUDGET_MS = 100; // that Python takes (app/benchmark.py)

/**
 * What is worth timing in one context: the choice, the safe default, JavaScript, what is expected to be fast, and what was
 * fastest for the size before. @param {any} row @param {string | undefined} before
 */
function candidatesOf(row, before) {
  const expected = { ...row.candidates, ...row.measured };
  const leaders = Object.keys(expected).sort((a, b) => expected[b] - expected[a]);
  const scripts = leaders.filter((name) => name.startsWith("js"));
  const modules = leaders.filter((name) => !name.startsWith("js")).slice(0, LEADERS);
  return [...new Set([...scripts, row.choice, row.default, before, ...modules])].filter((name) => name in expected);
}

/** The row with what was timed. @param {any} row @param {Record<string, {fast: number, median: number}>} times @returns {Decision} */
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

/** Small sizes first: there the way to a module costs most. @param {TunedKernel} kernel @param {any} patterns */
function cellsOf(kernel, patterns) {
  // The arrays that the page has come first: its own, or those in the kernel's memory.
  const modes = kernel.arena.used ? ["", COPIED] : [COPIED, ""];
  return modes.flatMap((mode) =>
    (patterns?.[kernel.pattern + mode] ?? []).map((/** @type {any} */ row) => ({ pattern: kernel.pattern + mode, copied: mode === COPIED, row })),
  );
}

/**
 * Decisions for the contexts that could be timed within the budget, of which every kernel has its share.
 * @param {{server: string, root: string, kernels: TunedKernel[], tables: any, budgetMs: number, signal?: AbortSignal}} args
 * @returns {Promise<Confirmed[]>}
 */
export async function confirmCalls({ server, root, kernels, tables, budgetMs, signal }) {
  const until = performance.now() + budgetMs;
  const least = { dataEnd: Math.max(0, ...kernels.map(({ entry }) => entry.dataEnd)), memoryBytes: Math.max(0, ...kernels.map(({ memoryBytes }) => memoryBytes)) };
  /** @type {Confirmed[]} */
  const found = [];
  /** @type {import("./rpc.js").RemoteWorker | undefined} */
  let worker;
  for (const [turn, kernel] of kernels.entries()) {
    const { entry } = kernel;
    const began = performance.now();
    const share = (until - began) / (kernels.length - turn);
    try {
      for (const { pattern, copied, row } of cellsOf(kernel, tables[entry.name])) {
        if (performance.now() - began >= share || signal?.aborted) break;
        if (!worker) {
          worker = await connectWorker(`${server}static/calls_worker.js`, { timeout: START_MS });
          await worker.call("open", least, { timeout: START_MS });
        }
        const before = found.findLast((one) => one.kernel === entry.name)?.row.choice;
        const cell = { entry, root, pattern: kernel.pattern, size: row.size, copied, candidates: candidatesOf(row, before), settled: row.source === "measured" };
        const times = await worker.call("time", cell, { timeout: HANG_MS });
        if (times.js) found.push({ kernel: entry.name, pattern, size: row.size, row: confirmed(row, times) });
      }
    } catch {
      worker?.end(); // it hangs or has died: the rest of this kernel stays as it was
      worker = undefined;
    }
  }
  worker?.end();
  return found;
}

/** The tables with what was confirmed in place of what was decided without. @param {any} tables by kernel and pattern @param {Confirmed[]} rows */
export function withConfirmed(tables, rows) {
  const changed = { ...tables };
  for (const { kernel, pattern, size, row } of rows) {
    if (!changed[kernel]?.[pattern]) continue; // removed meanwhile
    changed[kernel] = { ...changed[kernel], [pattern]: changed[kernel][pattern].map((/** @type {Decision} */ old) => (old.size === size ? row : old)) };
  }
  return changed;
}

/**
 * Measure in Python's bench worker, confirm it for the kernels that this page has loaded, then follow both.
 * @param {() => Promise<any>} start gives Python's operations @param {import("./fleetune.d.ts").BenchmarkOptions} options @param {string} server @param {string} root of the kernels' files
 * @param {Map<string, TunedKernel>} loaded
 * @param {(confirm: (tables: any) => any) => Promise<any>} follow the newest decisions, with what was confirmed
 */
export function measure(start, options, server, root, loaded, follow) {
  return despiteSilence(async () => measureWith(await start(), options, server, root, loaded, follow));
}

/**
 * @param {any} ops @param {import("./fleetune.d.ts").BenchmarkOptions} options @param {string} server @param {string} root
 * @param {Map<string, TunedKernel>} loaded @param {(confirm: (tables: any) => any) => Promise<any>} follow
 */
async function measureWith(ops, { budgetMs = 2000, kernels, signal }, server, root, loaded, follow) {
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
    // Both at once, as every change spends call sites (tuned_kernel.js); and anew: a model may have come meanwhile.
    await follow((given) => withConfirmed(given, rows));
    return { ...outcome, confirmed: rows.length };
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
