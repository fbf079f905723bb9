// @ts-check
/**
 * Learn from the calls that the page makes: copies of their arguments are what implementations are compared and timed with, between the
 * page's own work, for a small share of the time that the calls take.
 */
import { loadAll } from "./learn.js";
import { measureCell, Over } from "./measure.js";
import { isPromise, pause } from "./implementations.js";
import { alive, PAGE } from "./page_clock.js";
import { save } from "./saved.js";
import { copyOf, isBuffer, isPicture, isPlain } from "./values.js";
import { seeded } from "../shared/numbers.js";
import { clockStep } from "../shared/timing.js";

/** @import { Step } from "./decide.js" */
/** @typedef {{pattern: string, size: number, sets: any[][], since: number}} Group calls of one octave; `since`: ms that they took since they were last measured */

const SHARE = 0.02; // of the time that calls take, until their octave is decided
const STEADY = 0.005; // from then on, to see what changes
const START_MS = 2; // saved up before anything is tried
const SETS = 2; // of arguments: each is one call more of everyone
const SET_BYTES = 1 << 22; // that they may hold together, beyond the first
const TURN_MS = 50; // that a call of the page waits for a turn at most
const LOOK_MS = 4; // of calls between two that are timed
const MOST_CALLS = 1024; // between them

/** Whether a copy of it is as good as the value itself. @param {any} value @param {Set<any>} seen parts @returns {boolean} */
function copyable(value, seen) {
  if (typeof value === "function" || typeof value === "symbol") return false;
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || seen.has(value)) return true;
  seen.add(value);
  if (Array.isArray(value)) return value.every((one) => copyable(one, seen));
  return isPlain(value) ? Object.values(value).every((one) => copyable(one, seen)) : isBuffer(value) || isPicture(value) || (globalThis.Blob !== undefined && value instanceof Blob);
}

/** @param {any} value @param {Set<any>} seen parts @returns {number} */
function bytesOf(value, seen) {
  if (typeof value !== "object" || value === null) return value?.length ?? 8;
  if (seen.has(value)) return 0;
  seen.add(value);
  return value.byteLength ?? value.size ?? Object.values(value).reduce((sum, one) => sum + bytesOf(one, seen), 0);
}

/** The power of two that stands for the sizes around it. @param {number} size */
const octaveOf = (size) => 2 ** Math.max(0, Math.round(Math.log2(Math.max(size, 1))));

/**
 * Steps that reach no further than the octaves that were measured: where no result was compared, the reference runs.
 * @param {import("./choose.js").Chooser["stepsOf"]} stepsOf @returns {import("./choose.js").Chooser["stepsOf"]}
 */
export const withinMeasured = (stepsOf) => (sizes, usable) => {
  const [[, reference]] = stepsOf({}, usable);
  /** @type {Step[]} */
  const steps = [[0, reference]];
  const add = (/** @type {number} */ from, /** @type {string} */ name) => {
    if (steps.at(-1)?.[0] === from) steps.pop();
    if (steps.at(-1)?.[1] !== name) steps.push([from, name]);
  };
  for (const size of Object.keys(sizes).sort((a, b) => Number(a) - Number(b))) {
    const octave = Math.log2(Number(size));
    add(octave > 0 ? 2 ** (octave - 0.5) : 0, stepsOf({ 0: sizes[size] }, usable)[0][1]);
    add(2 ** (octave + 0.5), reference);
  }
  return steps;
};

/** @param {import("./choose.js").Chooser} chooser @returns {Promise<void>} when the job is closed */
export const learnFromCalls = (chooser) => alive(chooser.key, () => listen(chooser));

/** @param {import("./choose.js").Chooser} chooser */
async function listen(chooser) {
  const { implementations, job, closed } = chooser;
  if (closed.signal.aborted) return;
  const random = seeded(Date.now());
  /** @type {Map<string, Group>} */
  const groups = new Map();
  /** ms that may be spent; less than none while a long try is paid back. */
  let credit = 0;
  let counted = PAGE.now(); // until when calls were counted
  let charged = Infinity; // since when time is spent on measuring
  let wake = () => {};

  let due = 1; // calls since the one that was heard last
  const again = (/** @type {number} */ calls) => void (chooser.left = due = calls);
  /** The calls that one stands for, with copies of its arguments where there can be any. @param {string} pattern @param {any[]} args */
  const grouped = (pattern, args) => {
    try {
      const size = Number(chooser.options.size(...args));
      if (!(size >= 0 && size < Infinity)) return undefined;
      const key = `${pattern} ${octaveOf(size)}`;
      const group = groups.get(key) ?? { pattern, size: octaveOf(size), sets: [], since: 0 };
      groups.set(key, group);
      if (group.sets.length < SETS && (!group.sets.length || bytesOf(group.sets, new Set()) < SET_BYTES) && copyable(args, new Set())) group.sets.push(copyOf(args));
      return group;
    } catch {
      return undefined; // what cannot be looked at (getters that throw, proxies that were revoked) is left alone
    }
  };
  chooser.hear = (pattern, args, call) => {
    const calls = due;
    let began = PAGE.now();
    const group = grouped(pattern, args);
    credit -= PAGE.now() - began;
    if (!group) return again(MOST_CALLS), call(...args);
    // At random, so that every kind of call is met where kinds follow each other in turn.
    again(Math.ceil(Math.min(2 * calls, MOST_CALLS) * (0.5 + random() / 2)));
    const note = () => {
      const now = PAGE.now();
      const took = Math.min(calls * (now - began), now - counted); // calls that wait at the same time take it once
      counted = now;
      group.since += took;
      credit += took * (chooser.cells[pattern]?.[group.size] ? STEADY : SHARE);
      if (now - began > 0) again(Math.max(1, Math.min(MOST_CALLS, Math.ceil((2 * LOOK_MS * random()) / (now - began)), 2 * calls)));
      if (credit > 0) wake();
    };
    began = PAGE.now();
    const result = call(...args);
    if (job.waits) return result.finally(() => (note(), offer()));
    note();
    if (isPromise(result)) chooser.dispatchEvent(new CustomEvent("failed", { detail: new Error(`Fleetune: calls of ${chooser.name} give promises: say async: true`) }));
    return result;
  };

  /** What waits for a turn, and what a turn's end tells. @type {(() => void) | undefined} */
  let take;
  let done = () => {};
  /** A turn at the end of a call that gives a promise: whoever waits for it does nothing else meanwhile, so nothing else is timed. */
  const offer = () => {
    if (!take || credit <= 0) return undefined;
    const over = new Promise((resolve) => (done = () => resolve(undefined)));
    take();
    take = undefined;
    return Promise.race([over, pause(TURN_MS)]);
  };
  /** Until there is something to learn that may be paid for. @param {() => boolean} ready */
  const saved = async (ready) => {
    if (charged < Infinity) credit -= PAGE.now() - charged;
    charged = Infinity;
    done();
    while (!ready()) await Promise.race([new Promise((resolve) => (wake = () => resolve(undefined))), deadline.ended]);
  };
  const turn = async () => {
    await saved(() => credit > 0);
    await (job.waits ? Promise.race([new Promise((resolve) => (take = () => resolve(undefined))), deadline.ended]) : PAGE.idle(Infinity));
    charged = PAGE.now();
  };
  /** @type {Promise<never>} */
  const ended = new Promise((_, reject) => closed.signal.addEventListener("abort", () => reject(new Over())));
  ended.catch(() => {});
  const deadline = { until: Infinity, ended, over: () => closed.signal.aborted, clear() {} };
  const clock = { ...PAGE, idle: turn };
  const next = () => [...groups.values()].filter(({ sets }) => sets.length).reduce((/** @type {Group | undefined} */ most, one) => (most && most.since >= one.since ? most : one), undefined);
  try {
    await saved(() => credit > START_MS && next() !== undefined);
    await PAGE.idle(Infinity);
    charged = PAGE.now();
    const step = await clockStep({ ...clock, over: deadline.over });
    for (;;) {
      await saved(() => credit > 0 && next() !== undefined);
      await loadAll(chooser, implementations, deadline);
      const group = /** @type {Group} */ (next());
      const { pattern, size, sets } = group;
      [group.since, group.sets] = [0, []];
      let i = 0;
      const mine = { ...job, brief: true, input: async () => sets[i++ % sets.length] };
      const cell = await measureCell(mine, implementations, size, pattern, chooser.choice(pattern, size), clock, step, deadline, Infinity, random);
      job.inPlace ||= mine.inPlace;
      if (!cell) continue;
      chooser.found(pattern, size, cell);
      save(chooser);
    }
  } catch (error) {
    if (!(error instanceof Over)) throw error;
  } finally {
    done();
    chooser.hear = (_, args, call) => call(...args);
    chooser.left = Infinity;
  }
}
