// @ts-check
/** Check and time a job's implementations on inputs made for it: idle slices on the page, one candidate at a time. */
import { ownLoop } from "./call_sites.js";
import { argumentsOf, copyOf } from "./values.js";
import { equal } from "./alike.js";
import { isPromise, said, within } from "./implementations.js";
import { Rounds } from "../shared/rounds.js";
import { batchMs, clockStep, timeBatch } from "../shared/timing.js";

/** @typedef {import("./implementations.js").Implementation} Implementation */
/** @typedef {import("../shared/timing.js").Clock} Clock */
/** @typedef {{run: (n: number) => any, chunk: number, warm: number, last: any}} Runner `warm`: ms a call; `last`: a result, so that none is optimised away */
/** @typedef {Clock & {idle: (until: number) => Promise<unknown>}} PageClock `idle` resolves when the page has nothing to do, or at `until` */
/** @typedef {{times: Record<string, number>, choice: string, verdict: import("../shared/rounds.js").Verdict | "guessed"}} Cell */
/**
 * @typedef {object} Job
 * @property {boolean} waits calls give promises
 * @property {boolean} [brief] time is so short that nothing is warmed up
 * @property {boolean} inPlace the reference changes its arguments; found out here
 * @property {(size: number, random: () => number, pattern: string) => any} input
 * @property {(a: any, b: any, argsOfA: any[], argsOfB: any[]) => any} [same] equal all the way down, if there is none
 * @property {(implementation: Implementation, reason: string) => void} setAside
 * @property {(name: string) => Promise<unknown>} trying hears who is tried next, and "" when that went well
 */

const SETS = 4; // of arguments, in turn: what repeats is learnt by branch predictors
const SET_BYTES = 1 << 22; // that all of them may hold
const MOST_WARM = 8; // batches until it gets no faster: compilers are at work meanwhile
const LONG_MS = 20; // a call that takes so long was compiled while it ran
const FASTER = 0.85; // times the least time before: still getting faster
const COARSE_MS = 20; // a batch that lasts so long leaves no time to warm up
const HANG_MS = 1000; // beyond what the reference suggests
const HANG_TIMES = 100;
const LEAST_ROUNDS = 2; // that a context gets once it is begun

/** Time is over, or the caller said stop: no failure of anyone. */
export class Over extends Error {}

/** @typedef {{until: number, ended: Promise<never>, over: () => boolean, clear: () => void}} Deadline */

/**
 * What ends measuring: the budget, by the clock and by a timer (a clock may stand still), or the caller.
 * @param {Clock} clock @param {number} budgetMs @param {AbortSignal} [signal] @returns {Deadline}
 */
export function deadlineIn({ now }, budgetMs, signal) {
  const until = now() + budgetMs;
  let over = false;
  /** @type {() => void} */
  let end = () => {};
  /** @type {Promise<never>} */
  const ended = new Promise((_, reject) => (end = () => ((over = true), reject(new Over()))));
  ended.catch(() => {}); // those who wait hear of it
  const timer = setTimeout(end, budgetMs);
  signal?.addEventListener("abort", end);
  if (signal?.aborted) end();
  const clear = () => (clearTimeout(timer), signal?.removeEventListener("abort", end));
  return { until, ended, over: () => over || now() >= until, clear };
}

/** @param {Job} job @param {number} size @param {string} pattern @param {() => number} random @returns {Promise<any[][]>} */
async function inputSets({ input, brief }, size, pattern, random) {
  const began = performance.now();
  const sets = [argumentsOf(await input(size, random, pattern))];
  const bytes = sets[0].reduce((sum, value) => sum + (value?.byteLength ?? value?.data?.byteLength ?? value?.length ?? 0), 0);
  while (sets.length < Math.min(brief ? SETS / 2 : SETS, SET_BYTES / bytes) && performance.now() - began < LONG_MS) sets.push(argumentsOf(await input(size, random, pattern)));
  return sets;
}

/**
 * The first difference between an implementation and the reference, if any; and whether it changes its arguments.
 * @param {Job} job @param {Implementation} one @param {any[][]} sets @param {Expected[]} expected @param {number} limit @param {Deadline} deadline
 */
async function check(job, one, sets, expected, limit, deadline) {
  const { same = (/** @type {any} */ a, /** @type {any} */ b) => equal(a, b) } = job;
  for (const [i, set] of sets.entries()) {
    const args = copyOf(set);
    const call = /** @type {Function} */ (one.call); // without `this`
    const result = call(...args);
    if (!job.waits && isPromise(result)) {
      result.then(undefined, () => {}); // nobody waits for it
      return "it gave a promise, though the choice is synchronous: declare it with async: true";
    }
    const found = await within(result, limit, deadline.ended);
    if (!(await same(expected[i].result, found, expected[i].args, args))) return "its result is not the reference's";
    if (job.inPlace ? !job.same && !equal(args, expected[i].args) : !equal(args, set)) {
      if (job.inPlace) return "it leaves other values in its arguments than the reference";
      one.copies = true;
    }
  }
  return undefined;
}

/** @typedef {{args: any[], result: any}} Expected */

/**
 * Check and time what is ready, in one context. Undefined if there was no time for all.
 * @param {Job} job @param {Implementation[]} implementations the first is the reference @param {number} size @param {string} pattern @param {string} current what is used now @param {PageClock} clock
 * @param {number} step of the clock @param {Deadline} deadline @param {number} until when it leaves the time to others, if every implementation had its rounds @param {() => number} random
 * @returns {Promise<Cell | undefined>}
 */
export async function measureCell(job, implementations, size, pattern, current, clock, step, deadline, until, random) {
  const [reference, ...rest] = implementations;
  await Promise.race([reference.needed(), deadline.ended]); // a visit that only follows what is known has not loaded it
  const others = rest.filter(({ ready }) => ready);
  const ticking = { ...clock, over: deadline.over };
  const sets = await within(inputSets(job, size, pattern, random), HANG_MS * 10, deadline.ended).catch((error) => {
    throw error instanceof Over ? error : new Error(`Fleetune: input failed for size ${size}: ${said(error)}`, { cause: error });
  });
  /** @type {Expected[]} */
  const expected = [];
  await clock.idle(deadline.until);
  const began = clock.now();
  for (const set of sets) {
    if (expected.length && clock.now() - began > LONG_MS) break; // a long call: one more set would say less than one more round
    const args = copyOf(set);
    const call = /** @type {Function} */ (reference.call); // without `this`
    const given = call(...args);
    const result = copyOf(await Promise.race([given, deadline.ended]));
    if (!job.waits && isPromise(given)) throw new TypeError(`Fleetune: ${reference.name}, the reference, gave a promise, though the choice is synchronous: say async: true`);
    if (!equal(args, set)) job.inPlace = true;
    expected.push({ args, result });
  }
  sets.length = expected.length;
  const limit = HANG_MS + (HANG_TIMES * (clock.now() - began)) / sets.length;

  /** @type {Map<string, Runner>} */
  const runners = new Map();
  /** @param {Implementation} one @param {(runner: Runner) => Promise<T>} act @template T */
  const trying = async (one, act) => {
    try {
      return await act(/** @type {Runner} */ (runners.get(one.name)));
    } catch (error) {
      if (error instanceof Over || one === reference) throw error;
      runners.delete(one.name);
      job.setAside(one, `${size}: ${said(error)}`);
      return undefined;
    }
  };
  /** @param {Runner} runner */
  const batch = async (runner) => {
    await clock.idle(deadline.until);
    const patience = limit + HANG_TIMES * batchMs(step, !clock.pause);
    const timed = await (job.waits ? within(timeBatch(runner, ticking, step), patience, deadline.ended) : timeBatch(runner, ticking, step));
    if (!timed) throw new Over();
    return timed;
  };

  for (const one of [reference, ...others]) {
    await clock.idle(deadline.until);
    if (deadline.over()) throw new Over();
    await trying(one, async () => {
      if (one !== reference) {
        await job.trying(one.name);
        const problem = await check(job, one, sets, expected, limit, deadline).finally(() => job.trying(""));
        if (problem) throw new Error(problem);
      }
      runners.set(one.name, runnerOf(job, one, sets));
    });
  }
  const byName = new Map([reference, ...others].map((one) => [one.name, one]));
  const rounds = new Rounds([...runners.keys()], { reference: reference.name, current, random });
  const named = (/** @type {string} */ name) => /** @type {Implementation} */ (byName.get(name));
  const brief = job.brief || batchMs(step, !clock.pause) > COARSE_MS; // no time to warm up: the slower half of the rounds does not count
  try {
    for (const name of brief ? [] : [...runners.keys()]) {
      await trying(named(name), async (runner) => {
        for (let before = Infinity, batches = 0; batches < MOST_WARM && (batches < 2 || runner.warm < FASTER * before); batches++) {
          before = runner.warm;
          runner.warm = Math.min(before, (await batch(runner)).ms);
          if (runner.warm > LONG_MS) break;
        }
      });
      if (!runners.has(name)) rounds.remove(name);
    }
    for (let order = rounds.next(), turns = 0; order.length; order = rounds.next()) {
      if (turns++ >= LEAST_ROUNDS && clock.now() >= until) break;
      for (const name of order) {
        const timed = await trying(named(name), batch);
        if (timed) rounds.add(name, timed.ms, timed.quantum);
        else rounds.remove(name);
      }
    }
  } catch (error) {
    if (!(error instanceof Over)) throw error;
  }
  for (const [name, { batches }] of rounds.series) {
    const warm = runners.get(name)?.warm ?? Infinity;
    if (!batches.length && warm < Infinity) rounds.add(name, warm, warm / 2); // a first impression
  }
  // Answers may be kept by their implementation and handed out again: look once more, after everything was called often.
  for (const one of others) {
    if (!runners.has(one.name) || deadline.over()) continue;
    await trying(one, async () => {
      const problem = await check(job, one, sets.slice(0, 1), expected, limit, deadline);
      if (problem) throw new Error(problem);
    });
    if (!runners.has(one.name)) rounds.remove(one.name);
  }
  const times = Object.fromEntries([...rounds.estimates()].map(([name, { fast }]) => [name, fast]));
  if ([...runners.keys()].some((name) => !(name in times))) return undefined;
  const { choice, verdict } = rounds.answer();
  return { times, choice, verdict };
}

/** @param {Job} job @param {Implementation} one @param {any[][]} sets @returns {Runner} */
function runnerOf({ waits, inPlace }, one, sets) {
  const own = /** @type {(...args: any[]) => any} */ (one.call);
  const call = one.copies || inPlace ? (/** @type {any[]} */ ...args) => own(...copyOf(args)) : own;
  const loop = ownLoop(waits);
  /** @type {Runner} */
  const runner = { chunk: 1, warm: Infinity, last: undefined, run: (n) => ((runner.last = loop(call, sets, n)), waits ? runner.last : undefined) };
  return runner;
}

/** The middle first, then outwards, larger before smaller: what is left out for want of time is decided by its neighbours, and errors cost more where calls take longer. @template T @param {T[]} list @returns {T[]} */
const fromTheMiddle = (list) => list.map((_, i) => list[(list.length >> 1) + (i % 2 ? 1 : -1) * ((i + 1) >> 1)] ?? list[0]);

/**
 * Measure contexts, each with its share of the time that is left. What could not be measured is left out.
 * @param {Job} job @param {Implementation[]} implementations @param {{size: number, pattern: string}[]} contexts @param {PageClock} clock
 * @param {Deadline} deadline @param {() => number} random @param {(pattern: string, size: number) => string} current what is used now
 * @param {(context: {size: number, pattern: string}, cell: Cell) => void} found
 */
export async function measureJob(job, implementations, contexts, clock, deadline, random, current, found) {
  try {
    await clock.idle(deadline.until);
    const step = await clockStep({ ...clock, over: deadline.over });
    for (const [turn, { size, pattern }] of fromTheMiddle(contexts).entries()) {
      if (deadline.over()) return;
      const until = clock.now() + (deadline.until - clock.now()) / (contexts.length - turn);
      try {
        const cell = await measureCell(job, implementations, size, pattern, current(pattern, size), clock, step, deadline, until, random);
        if (cell) found({ size, pattern }, cell);
      } catch (error) {
        if (!(error instanceof Over)) throw error;
      }
    }
  } catch (error) {
    if (!(error instanceof Over)) throw error;
  }
}
