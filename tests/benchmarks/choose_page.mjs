/**
 * The truth about the examples, in the page: what each implementation takes, by code of its own. Nothing here comes from the product
 * but the choice that is judged.
 */

const BATCH_MS = 15;
const STEPS = 40; // of the clock, that a batch lasts at least
const ROUNDS = 6;
const seeded = (state) => () => ((state = (1664525 * state + 1013904223) % 4294967296) / 4294967296);

/** ms a call of so many calls. @param {Function} call @param {any[]} inputs @param {number} calls */
async function series(call, inputs, calls) {
  const began = performance.now();
  for (let i = 0; i < calls; i++) await call(inputs[i % inputs.length]);
  return (performance.now() - began) / calls;
}

/** The shortest of three steps of the clock. */
function clockStep() {
  const steps = [0, 0, 0].map(() => {
    const began = performance.now();
    let now = began;
    while (now === began) now = performance.now();
    const then = now;
    while (now === then) now = performance.now();
    return now - then;
  });
  return Math.min(...steps);
}

/** How many calls a batch takes. @param {Function} call @param {any[]} inputs @param {number} batch ms */
async function calibrated(call, inputs, batch) {
  for (let calls = 1; ; calls *= 2) {
    // The least of three: one look may be long for a reason that is not the call's.
    const took = calls * Math.min(await series(call, inputs, calls), await series(call, inputs, calls), await series(call, inputs, calls));
    if (took >= batch / 2) return Math.max(1, Math.round((calls * batch) / took));
  }
}

/** Load what there is, as a page would, and how long it takes. */
export async function loaded([, implementations]) {
  const all = {};
  for (const [name, given] of Object.entries(implementations)) {
    try {
      const began = performance.now();
      if (given.supported && !(await given.supported())) continue;
      const call = typeof given === "function" ? given : await given.load(given.params ?? {});
      all[name] = { call, loadMs: typeof given === "function" ? 0 : performance.now() - began };
    } catch (error) {
      console.log(`${name}: ${error.message}`);
    }
  }
  return all;
}

/** The names of the implementations that are loaded from now on. */
export function noted([, implementations]) {
  const names = [];
  for (const [name, given] of Object.entries(implementations)) {
    const apply = (load, self, args) => (names.push(name), Reflect.apply(load, self, args));
    if (given.load) given.load = new Proxy(given.load, { apply });
  }
  return names;
}

/** The faster half of six interleaved batches of each implementation, by size, what loading took, and the batches. */
export async function truth(job, rounds = ROUNDS) {
  const all = await loaded(job);
  const { sizes, input } = job[2];
  const cells = {};
  const batches = {};
  const step = clockStep();
  const batch = Math.max(BATCH_MS, STEPS * step);
  for (const size of sizes) {
    const inputs = [1, 2, 3].map((seed) => input(size, seeded(seed)));
    const calls = {};
    const times = {};
    for (const [name, { call }] of Object.entries(all)) [calls[name], times[name]] = [await calibrated(call, inputs, batch), []];
    for (let round = 0; round < rounds; round++) {
      for (const [name, { call }] of Object.entries(all)) times[name].push(await series(call, inputs, calls[name]));
    }
    // The least alone would be what a coarse clock took away.
    const faster = (all) => [...all].sort((a, b) => a - b).slice(0, rounds / 2).reduce((sum, one) => sum + one, 0) / (rounds / 2);
    batches[size] = Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, { ms, quantum: step / calls[name] }]));
    cells[size] = Object.fromEntries(Object.entries(times).map(([name, all]) => [name, faster(all)]));
  }
  return { cells, loads: Object.fromEntries(Object.entries(all).map(([name, { loadMs }]) => [name, loadMs])), batches };
}

/** What a developer writes in an afternoon: time all once, keep the winner of each size. */
export async function handwritten(job) {
  const all = await loaded(job);
  const kept = {};
  for (const size of job[2].sizes) {
    const data = job[2].input(size, Math.random);
    let best = Infinity;
    for (const [name, { call }] of Object.entries(all)) {
      await call(data);
      const began = performance.now();
      let calls = 0;
      while (performance.now() - began < 20) await call(data), calls++;
      const ms = (performance.now() - began) / calls;
      if (ms < best) [best, kept[size]] = [ms, name];
    }
  }
  localStorage.setItem(`handwritten ${job[0]}`, JSON.stringify(kept));
  return kept;
}

const COUNT = 200_000;
const direct = (f, data) => { let sum = 0; for (let i = 0; i < COUNT; i++) sum += f(data); return sum; };
const chosen = (f, data) => { let sum = 0; for (let i = 0; i < COUNT; i++) sum += f(data); return sum; };
const directly = async (f, data, n) => { let sum = 0; for (let i = 0; i < n; i++) sum += await f(data); return sum; };
const indirectly = async (f, data, n) => { let sum = 0; for (let i = 0; i < n; i++) sum += await f(data); return sum; };

/** What a call through the choice takes more, ns and µs. @param {any} choose */
export async function overhead(choose) {
  const data = new Uint8Array(64);
  const input = (n) => new Uint8Array(n);
  const first = (bytes) => bytes[0] + bytes.length;
  const other = (bytes) => bytes[0] + bytes.length;
  const sync = await choose("overhead", { first, other }, { input, sizes: [64], budgetMs: 500 });
  const later = async (bytes) => bytes[0];
  const async_ = await choose("overhead async", { later, again: async (bytes) => bytes[0] }, { input, sizes: [64], budgetMs: 500 });
  await Promise.all([sync.ready, async_.ready]);
  const used = sync.explain({ size: 64 }).implementation === "first" ? first : other;
  const least = [Infinity, Infinity, Infinity, Infinity];
  const note = (i, began, calls) => (least[i] = Math.min(least[i], (performance.now() - began) / calls));
  for (let round = 0; round < 40; round++) {
    let began = performance.now();
    direct(used, data);
    note(0, began, COUNT);
    began = performance.now();
    chosen(sync, data);
    note(1, began, COUNT);
  }
  for (let round = 0; round < 5; round++) {
    let began = performance.now();
    await directly(later, data, 20_000);
    note(2, began, 20_000);
    began = performance.now();
    await indirectly(async_, data, 20_000);
    note(3, began, 20_000);
  }
  return { sync_overhead_ns: (least[1] - least[0]) * 1e6, async_overhead_us: (least[3] - least[2]) * 1e3 };
}
