// @ts-check
/**
 * `fleetune kernels check`: every variant of a kernel against its JavaScript, in this browser, by the benchmark's own
 * worker. The server's command calls it in a page (server/fleetune_server/kernels/check.py).
 */
/** @import { KernelEntry, Manifest } from "../shared/wire" */
import { Bench } from "./bench.js";
import { detectEnvironment } from "../shared/environment.js";

const LIMIT_MS = 20_000;
/** How a candidate is timed: warmed for so long, then in batches of at least so long, of which the fastest counts. */
const TIMING = { warmMs: 0, batchMs: 8, rounds: 7 };
/** The sizes on which a page checks a module (tuned_kernel.js); they are checked but not timed. */
const SMALL = [1, 7, 67];

/**
 * A row for each size, pattern, mode and candidate: what was wrong, or ms a call. `unsupported` are the variants that
 * this browser cannot run.
 * @param {Manifest} manifest of one kernel, `root` absolute
 * @param {{modes?: boolean[], timing?: typeof TIMING}} [options] modes: whether arrays are copied on each call (default:
 *   both, where a memory is shared)
 */
export async function checkKernel(manifest, { modes, timing = TIMING } = {}) {
  const [entry] = manifest.kernels;
  const environment = detectEnvironment();
  const unsupported = entry.variants.filter(({ features }) => !features.every((feature) => environment[feature])).map(({ name }) => name);
  const runnable = entry.variants.map(({ name }) => name).filter((name) => !unsupported.includes(name));
  const candidates = [...entry.baselines, ...runnable];
  const bench = new Bench(manifest);
  const rows = [];
  try {
    for (const pattern of entry.patterns) {
      for (const copied of modes ?? (entry.resident ? [false, true] : [true])) {
        for (const size of [...SMALL, ...entry.sizes]) {
          rows.push(...(await cell(bench, entry, candidates, { size, pattern, copied }, entry.sizes.includes(size) && timing)));
        }
      }
    }
  } finally {
    bench.end();
  }
  return { environment, unsupported, rows };
}

/** @param {Bench} bench @param {KernelEntry} entry @param {string[]} candidates @param {{size: number, pattern: string, copied: boolean}} context @param {false | typeof TIMING} timing */
async function cell(bench, entry, candidates, context, timing) {
  const loaded = await bench.call("load", { kernel: entry.name, ...context, seed: context.size, candidates }, LIMIT_MS);
  const rows = [];
  const good = [];
  for (const candidate of candidates) {
    const failed = loaded.failed[candidate];
    const { error } = failed ? { error: failed } : await bench.call("check", { candidate }, LIMIT_MS);
    rows.push({ ...context, candidate, error, ms: /** @type {number | null} */ (null) });
    if (!error) good.push(candidate);
  }
  if (!timing || !good.length) return rows;
  /** @type {Map<string, number>} */
  const times = new Map();
  for (const candidate of good) {
    await calibrated(bench, candidate, timing.warmMs);
    times.set(candidate, await calibrated(bench, candidate, timing.batchMs));
  }
  /** @type {Map<string, number>} */
  const best = new Map();
  for (let round = 0; round < timing.rounds; round++) {
    const order = [...times];
    const spent = await bench.call("run", { order }, LIMIT_MS);
    order.forEach(([name, count], i) => best.set(name, Math.min(best.get(name) ?? Infinity, spent[i] / count)));
  }
  return rows.map((row) => ({ ...row, ms: best.get(row.candidate) ?? null }));
}

/**
 * How often to call a candidate so that a batch lasts at least `ms`. Of two batches the shorter one counts: another
 * process may have held up the other.
 * @param {Bench} bench @param {string} candidate @param {number} ms
 */
async function calibrated(bench, candidate, ms) {
  let iterations = 1;
  for (let spent = 0; iterations < 1 << 24 && spent < ms; ) {
    const batch = /** @type {[string, number]} */ ([candidate, iterations]);
    spent = Math.min(...(await bench.call("run", { order: [batch, batch] }, LIMIT_MS)));
    if (spent < ms) iterations = Math.ceil(iterations * Math.min(16, Math.max(2, (1.2 * ms) / Math.max(spent, 0.1))));
  }
  return iterations;
}
