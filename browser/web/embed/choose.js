// @ts-check
/**
 * Choose between implementations of anything by measuring them here (EMBED.md). Works without a server, WebAssembly or storage; starts on
 * the first implementation, loads and times the others when the page is idle, and keeps what it found for the next visit.
 */
import { argumentsOf, copyOf, equal } from "./values.js";
import { explained, stepsOf, worthLoading } from "./decide.js";
import { dispatcher } from "./dispatch.js";
import { Failed, Implementation, isPromise } from "./implementations.js";
import { engine, isFresh, mark, read, tried, write } from "./kept.js";
import { oneAtATime, PAGE, pause } from "./page_clock.js";
import { seeded } from "../shared/numbers.js";

/** @typedef {import("./fleetune.d.ts").ChooseOptions} ChooseOptions */
/** @typedef {import("./kept.js").Kept} Kept */
/** @typedef {import("./measure.js").Cell} Cell */

const SIZES = [16, 1024, 65536];
const BUDGET_MS = 2000;
const STORAGE_MS = 20; // a storage that takes longer is heard later
const SAVE_MS = 500; // so long nothing goes on before it is written
const WINNER_MS = 4; // so long a choice waits for what it chose last time
const BYTES_A_MS = 1000; // of a download, until one was seen
const MANY = 1e9; // calls of a visit, while nothing is known
const MOST_COUNT = 1024; // calls between two looks

/** @param {any} first @returns {number} */
const lengthOf = (first) => first?.length ?? first?.byteLength ?? 1;
/** @param {any} value */
const isTakenAway = (value) => (value?.buffer ?? value)?.detached === true;

/** Whether a call gives a promise. Measuring will say what is wrong with one that fails. @param {Implementation} one @param {any[]} args @param {boolean} strict its errors are the caller's */
function givesPromise(one, args, strict) {
  try {
    const result = /** @type {Function} */ (one.call)(...copyOf(args));
    if (!isPromise(result)) return false;
    result.then(undefined, () => {});
    return true;
  } catch (error) {
    if (strict) throw error;
    return false;
  }
}

class Chooser extends EventTarget {
  /** By pattern and size. @type {Record<string, Record<string, Cell>>} */
  #cells = {};
  /** By pattern. @type {Map<string, ReturnType<typeof dispatcher>>} */
  #lanes = new Map();
  #calls = 0;
  #earlierCalls = 0;
  #measuredAt = 0;
  #closed = new AbortController();

  /** @param {string} name @param {Record<string, any>} given @param {ChooseOptions} options */
  constructor(name, given, options) {
    super();
    this.name = name;
    const { size = lengthOf, sizes = SIZES, patterns = [""], input, same = equal, measure = input ? "idle" : "never" } = options;
    this.options = { ...options, size, sizes: [...sizes].sort((a, b) => a - b), patterns, same, measure };
    this.implementations = Object.entries(given).map(([one, it]) => new Implementation(one, it));
    if (!this.implementations.length) throw new TypeError(`Fleetune: choose("${name}") needs at least one implementation`);
    if (!sizes.length || sizes.some((one) => !(one >= 0 && one < Infinity))) throw new TypeError(`Fleetune: the sizes of ${name} must be numbers from 0 on`);
    if (measure !== "idle" && measure !== "never") throw new TypeError(`Fleetune: measure of ${name} must be "idle" or "never"`);
    if (measure === "idle" && !input) throw new TypeError(`Fleetune: ${name} needs input to measure with`);
    this.reference = this.implementations[0];
    this.byName = new Map(this.implementations.map((one) => [one.name, one]));
    this.versions = Object.fromEntries(this.implementations.map((one) => [one.name, one.version]));
    this.key = options.version ? `${name}@${options.version}` : name;
    this.job = { waits: false, inPlace: false, input: /** @type {any} */ (input), same, setAside: this.#setAside, trying: this.#tries };
  }

  /** @returns {Promise<(...args: any[]) => any>} */
  async start() {
    const { reference, options, job } = this;
    const reading = Promise.all([read(this.key), tried(this.key)]);
    const [known] = await Promise.all([Promise.race([reading, pause(STORAGE_MS)]), reference.load()]);
    if (!reference.ready) throw new Error(`Fleetune: the reference ${reference.name} of ${this.name} cannot be used: ${reference.reason}`);
    const [kept] = known ?? [];
    if (known) this.#recall(known);
    else reading.then((late) => void (!this.#measuredAt && this.#recall(late) && this.#prepare()));
    job.waits = options.async ?? (this.implementations.some((one) => one.async) || (await this.#givePromises(kept)));
    for (const pattern of options.patterns) {
      const fall = (/** @type {number} */ n, /** @type {unknown} */ error, /** @type {any[]} */ args) => this.#fall(pattern, n, error, args);
      this.#lanes.set(pattern, dispatcher(options.size, job.waits, /** @type {any} */ (reference.call), fall, this.#tick));
    }
    await Promise.race([this.#prepare(), pause(WINNER_MS)]);
    const [first] = this.#lanes.values();
    const { pattern } = options;
    return pattern ? (...args) => (this.#lanes.get(pattern(...args)) ?? first).call(...args) : first.call;
  }

  /** Whether a plain function gives promises though it does not look it. @param {Kept | void} kept what is known since the last visit */
  async #givePromises(kept) {
    const { input, sizes, patterns } = this.options;
    if (kept && this.#isOurs(kept) && Object.keys(kept.cells).length) return kept.waits;
    if (!input) return false;
    const args = argumentsOf(await input(sizes[0], seeded(1), patterns[0]));
    try {
      for (const one of this.implementations) {
        if (!one.plain || !(await one.load())) continue;
        if (one !== this.reference) await this.#tries(one.name);
        if (givesPromise(one, args, one === this.reference)) return true;
      }
    } finally {
      mark(this.key, "");
    }
    return false;
  }

  /** @param {[kept: Kept | undefined, trying: string]} known @returns {boolean} whether anything was measured */
  #recall([kept, trying]) {
    const hung = this.byName.get(trying);
    if (hung && hung !== this.reference) this.#setAside(hung, "the page ended while it was tried");
    mark(this.key, "");
    return kept !== undefined && this.#adopt(kept);
  }

  /** @param {Kept} kept */
  #isOurs = (kept) => kept.engine === engine() && this.implementations.every(({ name, version }) => kept.versions[name] === version);

  /** Take over what an earlier visit or another tab found. @param {Kept} kept @returns {boolean} */
  #adopt(kept) {
    const { reference, versions } = this;
    const holds = (/** @type {string} */ name) => versions[name] !== undefined && versions[name] === kept.versions[name];
    this.#earlierCalls = kept.calls;
    if (kept.engine !== engine() || !holds(reference.name)) return false;
    for (const one of this.implementations.filter(({ name }) => holds(name))) {
      const { ms = 0, bytes = one.bytes, copies = false } = kept.loads[one.name] ?? {};
      if (!one.call) [one.loadMs, one.bytes] = [ms, bytes];
      one.copies ||= copies;
      const reason = kept.aside[one.name];
      if (reason !== undefined && one !== reference) this.#setAside(one, reason);
    }
    this.job.inPlace ||= kept.inPlace;
    this.#measuredAt = kept.at;
    for (const pattern of this.options.patterns) {
      const sizes = Object.entries(kept.cells[pattern] ?? {}).map(([size, { times, ...cell }]) => {
        return [size, { ...cell, times: Object.fromEntries(Object.entries(times).filter(([name]) => holds(name))) }];
      });
      this.#cells[pattern] = Object.fromEntries(sizes);
    }
    return true;
  }

  /** How many calls a visit makes, as far as is known. */
  get #expected() {
    return Math.max(this.options.expect?.calls ?? 0, this.#calls, this.#earlierCalls);
  }

  /** Load what is worth it for what is known, then follow that. */
  async #prepare() {
    const loads = Object.fromEntries(this.implementations.map((one) => [one.name, { ms: one.call ? 0 : one.loadMs }]));
    const usable = (/** @type {string} */ name) => this.byName.get(name)?.reason === undefined;
    const wanted = worthLoading(Object.values(this.#cells), loads, this.#expected || MANY, usable, this.reference.name);
    const steps = Object.values(this.#cells).flatMap((sizes) => stepsOf(sizes, (name) => wanted.includes(name), this.reference.name));
    await Promise.all([...new Set(steps.map(([, name]) => name))].map((name) => this.byName.get(name)?.load()));
    this.#follow();
  }

  /** @param {string} pattern */
  #steps = (pattern) => stepsOf(this.#cells[pattern] ?? {}, (name) => this.byName.get(name)?.ready ?? false, this.reference.name);

  #follow() {
    const { waits, inPlace } = this.job;
    for (const [pattern, lane] of this.#lanes) {
      lane.follow(
        this.#steps(pattern).map(([from, name]) => {
          const one = /** @type {Implementation} */ (this.byName.get(name));
          const slowest = Math.max(0, ...Object.values(this.#cells[pattern] ?? {}).map(({ times }) => times[name] ?? 0));
          return [from, one === this.reference ? /** @type {any} */ (one.call) : one.bound(waits, inPlace, slowest)];
        }),
      );
    }
    this.#tell("decided", { contexts: this.contexts() });
  }

  /** After everyone could listen. @param {string} type @param {object} detail */
  #tell = (type, detail) => void setTimeout(() => this.dispatchEvent(new CustomEvent(type, { detail: { job: this.name, ...detail } })));

  /** @param {Implementation} one @param {string} reason */
  #setAside = (one, reason) => {
    if (!one.setAside(reason)) return;
    this.#tell("setaside", { implementation: one.name, reason });
    if (this.#lanes.size) this.#follow();
  };

  /** @param {string} name */
  #tries = (name) => Promise.race([mark(this.key, name), pause(SAVE_MS)]);

  async #save() {
    const newer = await read(this.key);
    if (newer && newer.at > this.#measuredAt) this.#adopt(newer);
    const { versions, job, implementations } = this;
    const loads = Object.fromEntries(implementations.map(({ name, loadMs, bytes, copies }) => [name, { ms: loadMs, bytes: Number.isFinite(bytes) ? bytes : 0, copies }]));
    const aside = Object.fromEntries(implementations.filter(({ failed }) => failed).map(({ name, reason = "" }) => [name, reason]));
    return write(this.key, {
      schema: 1, engine: engine(), at: this.#measuredAt || Date.now(), versions, waits: job.waits, inPlace: job.inPlace,
      cells: this.#cells, loads, aside, calls: this.#calls || this.#earlierCalls,
    });
  }

  /** @param {number} _size @param {number} calls */
  #tick = (_size, calls) => {
    this.#calls += calls;
    return Math.min(2 * calls, MOST_COUNT);
  };

  /** A call failed. The reference says whether its arguments were to blame. @param {string} pattern @param {number} size @param {unknown} error @param {any[]} args @returns {any} */
  #fall(pattern, size, error, args) {
    const used = this.#steps(pattern).findLast(([from]) => from <= size)?.[1] ?? this.reference.name;
    let one = this.job.waits ? this.reference : /** @type {Implementation} */ (this.byName.get(used));
    if (error instanceof Failed) ({ one, cause: error, args } = error);
    if (one === this.reference) throw error;
    const reason = `it failed: ${/** @type {Error} */ (error)?.message ?? error}`;
    if (args.some(isTakenAway)) {
      this.#setAside(one, reason);
      throw new Error(`Fleetune: ${one.name} failed after it took the arguments of ${this.name} away`, { cause: error });
    }
    const result = /** @type {Function} */ (this.reference.call)(...args);
    const settle = (/** @type {any} */ value) => (this.#setAside(one, reason), this.#save(), value);
    return isPromise(result) ? result.then(settle) : settle(result);
  }

  /** Whether loading it can pay back: as if it took no time at all. @param {Implementation} one */
  #mayPay(one) {
    if (one.ready || !Number.isFinite(one.bytes)) return true;
    const cells = Object.values(this.#cells).flatMap((sizes) => Object.values(sizes));
    if (!cells.length) return true;
    const mean = cells.reduce((sum, { times }) => sum + times[this.reference.name], 0) / cells.length;
    return this.#expected * mean >= one.bytes / BYTES_A_MS;
  }

  /** Whom a context has no time of yet. @param {string} pattern @param {number} size */
  #untimed = (pattern, size) => {
    const times = this.#cells[pattern]?.[size]?.times ?? {};
    return this.implementations.filter((one) => one.reason === undefined && !(one.name in times) && this.#mayPay(one));
  };

  #contexts() {
    const { patterns, sizes } = this.options;
    return patterns.flatMap((pattern) => sizes.map((size) => ({ size, pattern })));
  }

  /** @param {string} pattern @param {number} size */
  #choice = (pattern, size) => this.#steps(pattern).findLast(([from]) => from <= size)?.[1] ?? this.reference.name;

  /** Measure without being asked, once the page is seen and idle, what is not known or old. */
  async learn() {
    await PAGE.idle(Infinity);
    const { budgetMs = BUDGET_MS } = this.options;
    return oneAtATime(this.#closed.signal, () => this.#measureWithin(budgetMs, this.#closed.signal, true));
  }

  /**
   * Measure now, in the page's idle time. Ends near the budget with what was measured by then.
   * @param {{budgetMs?: number, signal?: AbortSignal}} [options]
   */
  async measure({ budgetMs = this.options.budgetMs ?? BUDGET_MS, signal } = {}) {
    signal?.throwIfAborted();
    if (!this.options.input) throw new Error(`Fleetune: ${this.name} has no input to measure with`);
    const stop = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    const until = PAGE.now() + budgetMs;
    const turn = oneAtATime(AbortSignal.any([stop, AbortSignal.timeout(budgetMs)]), () => this.#measureWithin(until - PAGE.now(), stop, false));
    return (await turn) ?? { stopped: stop.aborted, seconds: budgetMs / 1000, measured: 0, contexts: this.contexts() };
  }

  /** @param {number} budgetMs @param {AbortSignal} stop @param {boolean} stale only what is old or not known */
  async #measureWithin(budgetMs, stop, stale) {
    const { deadlineIn, measureJob, Over } = await import("./measure.js"); // who only uses what is known need not fetch it
    const deadline = deadlineIn(PAGE, budgetMs, stop);
    const began = PAGE.now();
    let measured = 0;
    try {
      const kept = await Promise.race([read(this.key), deadline.ended]);
      if (kept && kept.at > this.#measuredAt && this.#adopt(kept)) await this.#prepare(); // another tab's
      await this.#measureAll(measureJob, !stale || !isFresh(this.#measuredAt), deadline, () => measured++);
    } catch (error) {
      if (!(error instanceof Over)) throw error;
    } finally {
      deadline.clear();
      if (measured) await Promise.race([this.#save(), pause(SAVE_MS)]); // before another tab has its turn
    }
    return { stopped: stop.aborted, seconds: (PAGE.now() - began) / 1000, measured, contexts: this.contexts() };
  }

  /** @param {typeof import("./measure.js").measureJob} measureJob @param {boolean} all or only what is not known @param {import("./measure.js").Deadline} deadline @param {() => unknown} told hears of each context */
  async #measureAll(measureJob, all, deadline, told) {
    const wanted = () => this.#contexts().filter(({ pattern, size }) => all || this.#untimed(pattern, size).length);
    const found = (/** @type {{size: number, pattern: string}} */ { size, pattern }, /** @type {Cell} */ cell) => {
      told();
      this.#measuredAt = Date.now();
      (this.#cells[pattern] ??= {})[size] = cell;
      this.#follow();
    };
    const random = seeded(Date.now());
    if (!Object.keys(this.#cells).length && !this.implementations.every((one) => one.ready || !Number.isFinite(one.bytes))) {
      // What the reference takes says which downloads can pay back.
      await measureJob(this.job, [this.reference], wanted(), PAGE, { ...deadline, until: PAGE.now() + (deadline.until - PAGE.now()) / 8 }, random, this.#choice, found);
    }
    const others = new Set(wanted().flatMap(({ pattern, size }) => (all ? this.implementations : this.#untimed(pattern, size))));
    for (const one of [...others].sort((a, b) => a.bytes - b.bytes || 0)) {
      if (one.ready || one.reason !== undefined || !this.#mayPay(one)) continue;
      await PAGE.idle(deadline.until);
      await Promise.race([one.load(), deadline.ended]);
      if (one.reason !== undefined) this.#tell("setaside", { implementation: one.name, reason: one.reason });
    }
    await measureJob(this.job, this.implementations, wanted(), PAGE, deadline, random, this.#choice, found);
  }

  /** What is known, context by context. */
  contexts() {
    return this.options.patterns.flatMap((pattern) =>
      Object.entries(this.#cells[pattern] ?? {}).map(([size, { times, verdict }]) => ({ pattern, size: Number(size), choice: this.#choice(pattern, Number(size)), verdict, times })),
    );
  }

  /**
   * What runs for a call, and why.
   * @param {{size?: number, pattern?: string}} [call] @returns {import("./fleetune.d.ts").ChoiceExplanation}
   */
  explain({ size = this.options.sizes[0], pattern = this.options.patterns[0] } = {}) {
    return explained(this.implementations, this.#choice(pattern, size), this.#cells[pattern] ?? {}, size);
  }

  /** Stop measuring and let every implementation but the reference go. */
  close() {
    this.#closed.abort();
    for (const one of this.implementations) if (one !== this.reference) one.setAside("closed");
  }
}

/**
 * A function that runs the fastest of several implementations, by size.
 * @param {string} name of the job @param {Record<string, any>} implementations the first is the reference and the fallback
 * @param {ChooseOptions} [options] @returns {Promise<any>}
 */
export async function choose(name, implementations, options = {}) {
  const chooser = new Chooser(name, implementations, options);
  const call = await chooser.start();
  const ready = chooser.options.measure === "idle" ? chooser.learn() : Promise.resolve(undefined);
  ready.catch((error) => chooser.dispatchEvent(new CustomEvent("failed", { detail: error })));
  const bound = (/** @type {"measure" | "explain" | "contexts" | "close" | "addEventListener" | "removeEventListener"} */ method) => [method, /** @type {any} */ (chooser)[method].bind(chooser)];
  return Object.assign(call, { ready }, Object.fromEntries(["measure", "explain", "contexts", "close", "addEventListener", "removeEventListener"].map(/** @type {any} */ (bound))));
}
