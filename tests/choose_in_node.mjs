// Worlds with clocks of their own, in which implementations take the time that they are told to: what does measuring say?
import { Implementation } from "../browser/web/embed/implementations.js";
import { deadlineIn, measureJob } from "../browser/web/embed/measure.js";
import { seeded } from "../browser/web/shared/numbers.js";


/** A clock that steps, and jitters as Firefox's does: within each step it moves on at a random moment. */
class World {
  constructor({ step = 0.005, jitter = false, seed = 1, outliers = 0, stops = 0 }) {
    Object.assign(this, { step, jitter, outliers, stops, time: 0, began: 0 });
    this.random = seeded(seed);
    this.moments = new Map();
  }
  now = () => {
    this.time += Math.max(1e-4, this.step / 2000); // reading takes time
    const whole = Math.floor(this.time / this.step);
    if (!this.moments.has(whole)) this.moments.set(whole, this.jitter ? this.random() : 1);
    return (this.time - whole * this.step >= this.moments.get(whole) * this.step ? whole + 1 : whole) * this.step;
  };
  pause = async () => void (this.time += 0.02);
  idle = async () => void (this.time += 0.2);
  /** A call of so many ms, more when something else happens. */
  spend(ms) {
    this.time += ms * (1 + 0.02 * this.random());
    if (this.random() < this.outliers * ms) this.time += 20 * this.random(); // per ms
    if (this.stops && this.time > this.stops) [this.stops, this.time] = [0, this.time + 60_000]; // the lid was closed
  }
}

/** This world's time only: a real timer would end what a busy machine computes slowly. */
function until(world, budget, stopped = () => false) {
  const end = world.now() + budget;
  return { until: end, ended: new Promise(() => {}), over: () => stopped() || world.time >= end, clear() {} };
}

/** Run one measuring; `costs[name](size, calls, spent)` is ms of a call. */
async function run({ costs, sizes = [64], budget = 2000, waits = false, current, stopAfter, same, input, ...how }) {
  const world = new World(how);
  const aside = {};
  const implementations = Object.entries(costs).map(([name, cost]) => {
    let [calls, spent] = [0, 0];
    const work = (data) => {
      const ms = cost(data.length, calls++, spent);
      spent += ms;
      world.spend(ms);
      return data.reduce((sum, value) => sum + value, 0);
    };
    return new Implementation(name, waits ? async (data) => work(data) : cost.call ? (data) => (cost.before?.(data, calls), cost.after ? cost.after(work(data), calls) : work(data)) : work);
  });
  for (const one of implementations) await one.load();
  const controller = new AbortController();
  const job = {
    waits, inPlace: false, same, trying: async () => {},
    input: input ?? ((n, random) => Float64Array.from({ length: n }, random)),
    setAside: (one, reason) => (one.setAside(reason), (aside[one.name] = reason)),
  };
  const clock = { now: world.now, pause: world.pause, idle: async () => (stopAfter && world.time > stopAfter && controller.abort(), world.idle()) };
  const deadline = until(world, budget, () => controller.signal.aborted);
  const found = {};
  const [reference] = implementations;
  await measureJob(job, implementations, sizes.map((size) => ({ size, pattern: "" })), clock, deadline, seeded(how.seed ?? 1), () => current ?? reference.name, ({ size }, cell) => (found[size] = cell));
  deadline.clear();
  return { found, aside, spent: world.time, copies: implementations.map((one) => one.copies), inPlace: job.inPlace };
}

// Few long calls, for these clocks are turned by hand.
const times = (factor, base = 0.05) => (size) => (base * factor * size) / 64;
const WORLDS = {
  /** One is twice as fast, one is a little faster. */
  twice: (how) => run({ costs: { reference: times(1), half: times(0.5), near: times(0.9) }, ...how }),
  alike: (how) => run({ costs: { reference: times(1), a: times(0.99), b: times(1), c: times(1.01) }, ...how }),
  fifth: (how) => run({ costs: { reference: times(1), fifth: times(0.8) }, ...how }),
  /** Not compiled for its first calls. */
  cold: (how) => run({ costs: { reference: times(1), cold: (size, _, spent) => times(spent < 25 ? 10 : 0.5)(size) }, ...how }),
  /** Hot after a while. */
  slows: (how) => run({ costs: { reference: times(1), slows: (size, _, spent) => times(spent < 15 ? 0.5 : 3)(size) }, ...how }),
  slow: (how) => run({ costs: { reference: times(1, 30), half: times(0.5, 30) }, ...how }),
  waits: (how) => run({ costs: { reference: times(1), half: times(0.5) }, waits: true, ...how }),
};

/** What implementations may do wrong. */
const real = (data) => data.reduce((sum, value) => sum + value, 0);
const FAULTS = {
  liar: () => 7,
  liarWhenLarge: (data) => (data.length > 100 ? 7 : real(data)),
  throws: () => { throw new Error("no such thing"); },
  throwsLater: (() => { let calls = 0; return (data) => { if (++calls > 50) throw new Error("tired"); return real(data); }; })(),
  remembers: (() => { let first; return (data) => (first ??= real(data)); })(),
  liesLater: (() => { let calls = 0; return (data) => real(data) + (++calls > 50 ? 1 : 0); })(),
};
const TAKES = {
  changes: (data) => { const sum = real(data); data.fill(0); return sum; },
  takesAway: (data) => { const sum = real(data); structuredClone(data.buffer, { transfer: [data.buffer] }); return sum; },
};

async function faults(given, options = {}) {
  const world = new World({});
  const aside = {};
  const spending = (call) => (data) => (world.spend(0.002), call(data));
  const implementations = Object.entries({ reference: options.reference ?? real, ...given }).map(([name, call]) => new Implementation(name, options.waits ? call : spending(call)));
  for (const one of implementations) await one.load();
  const job = { waits: false, inPlace: false, trying: async () => {}, input: (n, random) => Float64Array.from({ length: n }, () => 1 + random()), setAside: (one, reason) => (one.setAside(reason), (aside[one.name] = reason)), ...options };
  const clock = { now: world.now, pause: world.pause, idle: world.idle };
  const found = {};
  const deadline = options.waits ? deadlineIn({ now: () => performance.now() }, options.budget) : until(world, 3000);
  const began = performance.now();
  await measureJob(job, implementations, (options.sizes ?? [16, 4096]).map((size) => ({ size, pattern: "" })), options.waits ? { now: () => performance.now(), pause: () => new Promise(setImmediate), idle: () => new Promise(setImmediate) } : clock, deadline, seeded(1), () => "reference", ({ size }, cell) => (found[size] = cell));
  deadline.clear();
  return { aside, found, copies: Object.fromEntries(implementations.map((one) => [one.name, one.copies])), inPlace: job.inPlace, took: performance.now() - began };
}

const SPECIAL = {
  faults: () => faults(FAULTS),
  takes: () => faults(TAKES),
  hangs: () => faults({ hangs: () => new Promise(() => {}), late: async (data) => real(data) }, { waits: true, reference: async (data) => real(data), budget: 4000 }),
  inPlace: () => faults({ alike: (data) => void data.sort(), other: (data) => void data.reverse() }, { reference: (data) => void data.sort(), sizes: [8, 64] }),
  /** The clock stands still, so only a timer ends it. */
  standsStill: async () => {
    const clock = { now: () => 5, pause: () => new Promise(setImmediate), idle: () => new Promise(setImmediate) };
    const deadline = deadlineIn(clock, 300);
    const began = performance.now();
    const [reference, other] = [new Implementation("reference", real), new Implementation("other", real)];
    await Promise.all([reference.load(), other.load()]);
    await measureJob({ waits: false, inPlace: false, input: (n) => new Float64Array(n), setAside() {}, trying: async () => {} }, [reference, other], [{ size: 4, pattern: "" }], clock, deadline, seeded(1), () => "reference", () => {});
    return performance.now() - began;
  },
};

const wanted = JSON.parse(process.argv[2]);
const answers = [];
for (const { world, ...how } of wanted) answers.push(await (SPECIAL[world] ?? WORLDS[world])(how));
process.stdout.write(JSON.stringify(answers));
