// @ts-check
/**
 * `fleetune kernels check`: every variant of a kernel against its JavaScript, in this browser, by the benchmark's own
 * worker. Called from outside the page (server/fleetune_server/own/check.py).
 */
import { Bench } from "./bench.js";
import { detectEnvironment } from "./environment.js";

const LIMIT_MS = 20_000;
const BATCH_MS = 8;
const ROUNDS = 7;
/** Sizes that a page tries before it trusts a module (tuned_kernel.js), beside the ones that are measured. */
const SMALL = [1, 7, 67];

/**
 * A row for each size, pattern, mode and candidate: what was wrong, or ms a call. `unsupported` are variants that
 * need more than this browser has.
 * @param {any} manifest one kernel's, `root` absolute @returns {Promise<any>}
 */
export async function checkKernel(manifest) {
  const [entry] = manifest.kernels;
  /** @type {any} */
  const environment = detectEnvironment();
  const runs = (/** @type {any} */ variant) => variant.features.every((/** @type {string} */ feature) => environment[feature]);
  const candidates = [...entry.baselines, ...entry.variants.filter(runs).map((/** @type {any} */ { name }) => name)];
  const unsupported = entry.variants.filter((/** @type {any} */ variant) => !runs(variant)).map((/** @type {any} */ { name }) => name);
  const bench = new Bench(manifest);
  const rows = [];
  try {
    for (const pattern of entry.patterns) {
      for (const copied of entry.resident ? [false, true] : [true]) {
        for (const size of [...SMALL, ...entry.sizes]) {
          rows.push(...(await cell(bench, entry, candidates, { size, pattern, copied }, entry.sizes.includes(size))));
        }
      }
    }
  } finally {
    bench.end();
  }
  return { environment, unsupported, rows };
}

/** @param {Bench} bench @param {any} entry @param {string[]} candidates @param {{size: number, pattern: string, copied: boolean}} context @param {boolean} timed */
async function cell(bench, entry, candidates, context, timed) {
  const loaded = await bench.call("load", { kernel: entry.name, ...context, seed: context.size, candidates }, LIMIT_MS);
  const rows = [];
  const good = [];
  for (const candidate of candidates) {
    const failed = loaded.failed[candidate];
    const { error } = failed ? { error: failed } : await bench.call("check", { candidate }, LIMIT_MS);
    rows.push({ ...context, candidate, error, ms: /** @type {number | null} */ (null) });
    if (!error) good.push(candidate);
  }
  if (!timed || !good.length) return rows;
  /** @type {Map<string, number>} */
  const times = new Map();
  for (const candidate of good) {
    let iterations = 1;
    for (let spent = 0; iterations < 1 << 24 && spent < BATCH_MS; ) {
      [spent] = await bench.call("run", { order: [[candidate, iterations]] }, LIMIT_MS);
      if (spent < BATCH_MS) iterations = Math.ceil(iterations * Math.min(16, Math.max(2, (1.2 * BATCH_MS) / Math.max(spent, 0.1))));
    }
    times.set(candidate, iterations);
  }
  /** @type {Map<string, number>} */
  const best = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    const order = [...times];
    const spent = await bench.call("run", { order }, LIMIT_MS);
    order.forEach(([name, count], i) => best.set(name, Math.min(best.get(name) ?? Infinity, spent[i] / count)));
  }
  return rows.map((row) => ({ ...row, ms: best.get(row.candidate) ?? null }));
}
