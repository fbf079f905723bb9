// @ts-check
/** Measure a job in the page's idle time: who is worth loading, in which contexts, within which budget. */
import { pause } from "./implementations.js";
import { SAVE_MS } from "./kept.js";
import { deadlineIn, measureJob, Over } from "./measure.js";
import { oneAtATime, PAGE } from "./page_clock.js";
import { catchUp, save } from "./saved.js";
import { seeded } from "../shared/numbers.js";

/** @typedef {import("./choose.js").Chooser} Chooser */
/** @typedef {import("./measure.js").Cell} Cell */
/** @typedef {import("./measure.js").Deadline} Deadline */

const MOST_AGE = 30 * 86_400_000; // ms; what is older is used, and measured again
const BYTES_A_MS = 1000; // of a download, until one was seen

/** Whether what was measured then need not be measured again. @param {number} at */
const isFresh = (at) => Date.now() >= at && Date.now() - at < MOST_AGE;

/** Measure without being asked, once the page is seen and idle, what is not known or old. @param {Chooser} chooser */
export async function learn(chooser) {
  await PAGE.idle(Infinity);
  const { signal } = chooser.closed;
  return oneAtATime(chooser.key, signal, () => measureWithin(chooser, chooser.options.budgetMs, signal, true));
}

/** @param {Chooser} chooser @param {{budgetMs?: number, signal?: AbortSignal}} how */
export async function measureNow(chooser, how) {
  const broken = (await import("./wrong.js")).wrongMeasure(chooser, how);
  if (broken) throw broken;
  const { budgetMs = chooser.options.budgetMs, signal } = how;
  signal?.throwIfAborted();
  const closed = chooser.closed.signal;
  const stop = signal ? AbortSignal.any([signal, closed]) : closed;
  const until = PAGE.now() + budgetMs;
  const turn = oneAtATime(chooser.key, AbortSignal.any([stop, AbortSignal.timeout(Math.ceil(budgetMs))]), () => measureWithin(chooser, until - PAGE.now(), stop, false));
  return (await turn) ?? { stopped: stop.aborted, seconds: budgetMs / 1000, measured: 0, contexts: chooser.contexts() };
}

/** In a worker if there is one, else here. @param {Chooser} chooser @param {number} budgetMs @param {AbortSignal} stop @param {boolean} stale only what is old or not known */
async function measureWithin(chooser, budgetMs, stop, stale) {
  if (await Promise.race([catchUp(chooser), pause(SAVE_MS)])) await chooser.prepare();
  const all = !stale || !isFresh(chooser.measuredAt);
  if (chooser.options.worker && wantedContexts(chooser, all).length) {
    const answered = await (await import("./in_worker.js")).ask(chooser, budgetMs, stop, all);
    if (answered) return answered;
  }
  return measureHere(chooser, budgetMs, stop, all);
}

/** @param {Chooser} chooser @param {number} budgetMs @param {AbortSignal} stop @param {boolean} all or only what is not known @param {() => unknown} [told] hears of each context */
export async function measureHere(chooser, budgetMs, stop, all, told) {
  const deadline = deadlineIn(PAGE, budgetMs, stop);
  const began = PAGE.now();
  let measured = 0;
  try {
    await measureAll(chooser, all, deadline, () => (measured++, told?.()));
  } catch (error) {
    if (!(error instanceof Over)) throw error;
  } finally {
    deadline.clear();
    if (measured) await save(chooser); // before another tab has its turn
  }
  return { stopped: stop.aborted, seconds: (PAGE.now() - began) / 1000, measured, contexts: chooser.contexts() };
}

/** @param {Chooser} chooser @param {boolean} all or only what is not known */
function wantedContexts(chooser, all) {
  const { patterns, sizes } = chooser.options;
  return patterns.flatMap((pattern) => sizes.map((size) => ({ size, pattern }))).filter(({ pattern, size }) => all || untimed(chooser, pattern, size).length);
}

/** Whom a context has no time of yet. @param {Chooser} chooser @param {string} pattern @param {number} size */
function untimed(chooser, pattern, size) {
  const times = chooser.cells[pattern]?.[size]?.times ?? {};
  return chooser.implementations.filter((one) => one.reason === undefined && !(one.name in times) && mayPay(chooser, one));
}

/** Whether loading it can pay back: as if it took no time at all. @param {Chooser} chooser @param {import("./implementations.js").Implementation} one */
function mayPay({ cells, likely, reference }, one) {
  if (one.ready || !Number.isFinite(one.bytes)) return true;
  const known = Object.values(cells).flatMap((sizes) => Object.values(sizes));
  if (!known.length) return true;
  const mean = known.reduce((sum, { times }) => sum + times[reference.name], 0) / known.length;
  return likely * mean >= one.bytes / BYTES_A_MS;
}

/** Load, the smallest first and when the page is idle, who may pay back. @param {Chooser} chooser @param {Iterable<import("./implementations.js").Implementation>} those @param {Deadline} deadline */
export async function loadAll(chooser, those, deadline) {
  for (const one of [...those].sort((a, b) => a.bytes - b.bytes || 0)) {
    if (one.ready || one.reason !== undefined || !mayPay(chooser, one)) continue;
    await PAGE.idle(deadline.until);
    await Promise.race([one.load(), deadline.ended]);
    if (one.reason !== undefined) chooser.tell("setaside", { implementation: one.name, reason: one.reason });
  }
}

/** @param {Chooser} chooser @param {boolean} all @param {Deadline} deadline @param {() => unknown} told */
async function measureAll(chooser, all, deadline, told) {
  const { job, implementations, cells } = chooser;
  const found = (/** @type {{size: number, pattern: string}} */ { size, pattern }, /** @type {Cell} */ cell) => {
    chooser.found(pattern, size, cell);
    told();
  };
  const random = seeded(Date.now());
  if (!Object.keys(cells).length && implementations.some((one) => !one.ready && one.bytes > 0 && Number.isFinite(one.bytes))) {
    // What the reference takes says which downloads can pay back.
    await measureJob(job, [chooser.reference], wantedContexts(chooser, all), PAGE, { ...deadline, until: PAGE.now() + (deadline.until - PAGE.now()) / 8 }, random, chooser.choice, found);
  }
  const wanted = wantedContexts(chooser, all);
  await loadAll(chooser, new Set(wanted.flatMap(({ pattern, size }) => (all ? implementations : untimed(chooser, pattern, size)))), deadline);
  await measureJob(job, implementations, wantedContexts(chooser, all), PAGE, deadline, random, chooser.choice, found);
}
