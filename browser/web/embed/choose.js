// @ts-check
/**
 * Choose between implementations of anything by measuring them here (EMBED.md). Works without a server, WebAssembly or storage; starts on
 * the first implementation, loads and times the others when the page is idle, and keeps what it found for the next visit.
 */
import { areTakenAway, argumentsOf, copyOf } from "./values.js";
import { explained, stepsOf, worthLoading } from "./decide.js";
import { dispatcher } from "./dispatch.js";
import { are, isCount, isImplementation, isList, isName } from "./given.js";
import { digest, Failed, givesPromise, Implementation, isPromise, pause, said, within } from "./implementations.js";
import { engine, mark, read, SAVE_MS } from "./kept.js";

/** @typedef {import("./fleetune.d.ts").ChooseOptions} ChooseOptions */
/** @typedef {import("./kept.js").Kept} Kept */
/** @typedef {import("./measure.js").Cell} Cell */

const SIZES = [16, 1024, 65536];
const BUDGET_MS = 2000;
const SOON_MS = 20; // a storage that takes longer is heard later, and a load that takes no longer is waited for
const WINNER_MS = 4; // so long a choice waits for storage and for what it chose last time
const PATIENCE = 2; // times as long as the reference takes to load, if that is not loaded: from then on both are
const INPUT_MS = 1000; // so long a choice waits for arguments to try
const GOLDEN = 0.618034; // multiples of it, modulo 1, are numbers good enough for one try
const MOST_COUNT = 1024; // calls between two looks
const MANY = 1e9; // calls of a visit, while nothing is known
const WORKER = "fleetune|"; // how the name of a worker begins that in_worker.js started

/** @param {any} first @returns {number} */
const lengthOf = (first) => first?.length ?? first?.byteLength ?? 1;

/** One job: what is known, what runs. The page sees only the methods that `choose` names. */
export class Chooser extends EventTarget {
  /** By pattern and size. @type {Record<string, Record<string, Cell>>} */
  cells = {};
  /** By pattern. @type {Map<string, ReturnType<typeof dispatcher>>} */
  #lanes = new Map();
  calls = 0;
  earlierCalls = 0;
  measuredAt = 0;
  /** Calls until one is heard, and what makes it. @type {(pattern: string, args: any[], call: (...args: any[]) => any) => any} */
  hear = (_, args, call) => call(...args);
  left = 0;
  /** Until the page's next turn: what the reference threw in another's place (callers in a recursion pass it on), and whether calls may run what is set aside. @type {unknown} */
  #passed = this;
  #moved = false;
  /** Whether storage did not answer once: it is not waited for again. */
  #deaf = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #turn;
  closed = new AbortController();
  /** @param {Record<string, Cell>} sizes @param {(name: string) => boolean} usable */
  stepsOf = (sizes, usable) => stepsOf(sizes, usable, this.reference.name, this.options.sizes[0]);

  /** @param {string} name @param {Record<string, any>} given @param {ChooseOptions} options */
  constructor(name, given, options) {
    super();
    this.name = name;
    const { size, sizes = SIZES, pattern, patterns = [""], input, same, measure = input ? "idle" : "never", budgetMs = BUDGET_MS, expect, async, worker = "", version, server = "", keys } = options;
    const all = Object.entries(given);
    // wrong.js has the same rules, and says which one is broken.
    const right =
      are("object", given, options, expect, keys) && are("function", size, pattern, input, same) && are("boolean", async) && are("string", name, version, .../** @type {any[]} */ ([worker, server]).map((one) => one?.href ?? one)) &&
      name && isList(sizes, (one) => isCount(one) && one < Infinity) && isList(patterns, isName) && isList(all, ([one, it]) => isName(one) && /\D/.test(one) && isImplementation(it)) &&
      ["idle", "calls", "never"].includes(measure) && (input || measure !== "idle") && isCount(expect?.calls) && isCount(budgetMs) && budgetMs > 0 && budgetMs < 2 ** 31;
    if (!right) throw new TypeError();
    this.options = { size: size ?? lengthOf, sizes: [...new Set(sizes)].sort((a, b) => a - b), pattern, patterns: [...new Set(patterns)], input, same, measure, budgetMs, expect, async, worker, server, keys };
    this.implementations = all.map(([one, it]) => new Implementation(one, it, name));
    this.reference = this.implementations[0];
    this.byName = new Map(this.implementations.map((one) => [one.name, one]));
    this.versions = Object.fromEntries(this.implementations.map((one) => [one.name, one.version]));
    /** Whether calls give promises, as far as that can be told without one. */
    this.waits = async ?? (this.implementations.some((one) => one.async) || undefined);
    this.key = `${digest(engine(), name, version, this.waits, sizes, patterns, size, pattern, input, same)} ${digest(this.versions)}`;
    this.job = { waits: false, inPlace: false, input: /** @type {any} */ (input), same, setAside: this.setAside, trying: this.#tries };
  }

  /** @returns {Promise<(...args: any[]) => any>} */
  async start() {
    const { reference, options, job } = this;
    const began = performance.now();
    const reading = Promise.all([read(this), this.#reach()]);
    // Calls that give promises can wait until the reference is loaded, should they need it.
    const [known] = await Promise.all([Promise.race([reading, pause(SOON_MS)]), this.waits || reference.needed()]);
    if (known) this.#recall(known);
    else reading.then((late) => void (!this.measuredAt && this.#recall(late) && this.prepare()));
    job.waits = this.waits ?? (await this.#givePromises(known?.[0][0]));
    for (const pattern of options.patterns) {
      const fall = (/** @type {number} */ n, /** @type {unknown} */ error, /** @type {any[]} */ args) => this.#fall(pattern, n, error, args);
      const lane = dispatcher(options.size, job.waits, this.#refer(), fall, this.#tick);
      this.#lanes.set(pattern, options.measure === "calls" ? { ...lane, call: this.#heard(pattern, lane.call) } : lane);
    }
    // What was chosen has its time. If it hangs, the page has lost no more than that.
    const late = pause(reference.call ? began + WINNER_MS - performance.now() : Math.max(SOON_MS, PATIENCE * reference.loadMs));
    if (!(await Promise.race([this.prepare(), late]))) {
      await reference.needed();
      this.follow();
    }
    const [first] = this.#lanes.values();
    const { pattern } = options;
    if (!pattern) return first.call;
    const byPattern = (/** @type {any[]} */ ...args) => (this.#lanes.get(pattern(...args)) ?? first).call(...args);
    return job.waits ? async (...args) => byPattern(...args) : byPattern;
  }

  /** What learns from calls says how far its choices reach; until then the reference runs. @returns {Promise<unknown> | undefined} */
  #reach() {
    if (this.options.measure !== "calls") return undefined;
    const { stepsOf } = this;
    this.stepsOf = () => [[0, this.reference.name]];
    return import("./from_calls.js").then(({ withinMeasured }) => (this.stepsOf = withinMeasured(stepsOf)), () => {});
  }

  /** Whether a plain function gives promises though it does not look it. @param {Kept | void} kept what is known since the last visit */
  async #givePromises(kept) {
    const { input, sizes, patterns, worker } = this.options;
    if (kept?.key === this.key && Object.keys(kept.cells).length) return kept.waits;
    if (!input || worker) return false; // with a worker, none is tried on the page
    let at = 0;
    const random = () => (at = (at + GOLDEN) % 1);
    try {
      const args = argumentsOf(await within(input(sizes[0], random, patterns[0]), INPUT_MS));
      for (const one of this.implementations) {
        if (!one.plain || !(await one.load())) continue;
        if (one !== this.reference) await this.#tries(one.name);
        if (givesPromise(one, args)) return true;
      }
    } catch {
      // Measuring says what is wrong with input.
    } finally {
      mark(this, "");
    }
    return false;
  }

  /** @param {[known: Awaited<ReturnType<typeof read>>, reach: unknown]} known @returns {boolean} whether anything was measured */
  #recall([[kept, trying = ""]]) {
    const hung = this.byName.get(trying);
    if (hung && hung !== this.reference) this.setAside(hung, "the page ended while it was tried");
    if (trying) mark(this, "");
    if (kept) this.adopt(kept);
    return Boolean(kept);
  }

  /** Take over what an earlier visit or another tab found. @param {Kept} kept */
  adopt(kept) {
    this.earlierCalls = kept.calls;
    for (const one of this.implementations) {
      const { ms = 0, bytes = one.bytes, copies = false } = kept.loads[one.name] ?? {};
      if (!one.call) [one.loadMs, one.bytes] = [ms, bytes];
      one.copies ||= copies;
      const reason = kept.aside[one.name];
      if (reason !== undefined && one !== this.reference) this.setAside(one, reason);
    }
    this.job.inPlace ||= kept.inPlace;
    this.measuredAt = kept.at;
    this.cells = copyOf(kept.cells);
  }

  /** What a server may know this job by. */
  described() {
    const { name, options: { patterns } } = this;
    return { name, patterns, implementations: this.implementations.map(({ name, stated }) => ({ name, stated })) };
  }

  /** How many calls a visit makes, as far as is known. */
  get expected() {
    return Math.max(this.options.expect?.calls ?? 0, this.calls, this.earlierCalls);
  }

  /** While nothing is known, many. */
  get likely() {
    return this.expected || MANY;
  }

  /** Load what is worth it for what is known, then follow that. @returns {Promise<boolean>} whether all that runs is loaded */
  async prepare() {
    const loads = Object.fromEntries(this.implementations.map((one) => [one.name, { ms: one.call ? 0 : one.loadMs }]));
    const usable = (/** @type {string} */ name) => this.byName.get(name)?.reason === undefined;
    const wanted = worthLoading(Object.values(this.cells), loads, this.likely, usable, this.reference.name);
    const steps = Object.values(this.cells).flatMap((sizes) => this.stepsOf(sizes, (name) => wanted.includes(name)));
    await Promise.all([...new Set(steps.map(([, name]) => name))].map((name) => this.byName.get(name)?.load()));
    return this.follow();
  }

  /** @param {string} pattern */
  #steps = (pattern) => this.stepsOf(this.cells[pattern] ?? {}, (name) => this.byName.get(name)?.ready ?? false);

  /** @returns {boolean} whether all that runs is loaded */
  follow() {
    const { waits, inPlace } = this.job;
    let able = true;
    for (const [pattern, lane] of this.#lanes) {
      lane.follow(
        this.#steps(pattern).map(([from, name]) => {
          const one = /** @type {Implementation} */ (this.byName.get(name));
          able &&= one.ready;
          const slowest = Math.max(0, ...Object.values(this.cells[pattern] ?? {}).map(({ times }) => times[name] ?? 0));
          return [from, one === this.reference ? this.#refer() : one.bound(waits, inPlace, slowest)];
        }),
      );
    }
    this.tell("decided", { contexts: this.contexts() });
    return able;
  }

  /** After everyone could listen. @param {string} type @param {object} detail */
  tell = (type, detail) => void setTimeout(() => this.dispatchEvent(new CustomEvent(type, { detail: { job: this.name, ...detail } })));

  /** @param {Implementation} one @param {string} reason */
  setAside = (one, reason) => {
    if (!one.setAside(reason)) return;
    this.tell("setaside", { implementation: one.name, reason });
    if (this.#lanes.size) this.follow();
  };

  /** @param {string} name */
  #tries = async (name) => {
    const marking = mark(this, name);
    if (!this.#deaf) this.#deaf = await Promise.race([marking.then(() => false), pause(SAVE_MS).then(() => true)]);
  };

  /** @param {number} _size @param {number} calls */
  #tick = (_size, calls) => {
    this.calls += calls;
    return Math.min(2 * calls, MOST_COUNT);
  };

  /** A call of which now and then one is heard, where calls are what is learnt from. @param {string} pattern @param {(...args: any[]) => any} call */
  #heard = (pattern, call) => (/** @type {any[]} */ ...args) => --this.left > 0 ? call(...args) : this.hear(pattern, args, call);

  /** The reference, loaded by the first call that needs it. */
  #refer() {
    const { reference, job } = this;
    const { call } = reference;
    return call ?? (async (/** @type {any[]} */ ...args) => {
      const kept = reference.call || job.inPlace ? args : copyOf(args); // the caller may change them meanwhile
      return (await reference.needed())(...kept);
    });
  }

  /** A call failed. The reference says whether its arguments were to blame. @param {string} pattern @param {number} size @param {unknown} error @param {any[]} args @returns {any} */
  #fall(pattern, size, error, args) {
    const { reference, job } = this;
    let one = job.waits ? reference : /** @type {Implementation} */ (this.byName.get(this.choice(pattern, size)));
    if (error instanceof Failed) ({ one, cause: error, args } = error);
    if (error === this.#passed || (one === reference && !this.#moved)) throw error;
    this.#turn ??= setTimeout(() => ([this.#passed, this.#moved, this.#turn] = [this, false, undefined]));
    const settle = (/** @type {any} */ value) => {
      if (one === reference) return value;
      this.#moved = !job.waits;
      this.setAside(one, `it failed: ${said(error)}`);
      import("./saved.js").then(({ save }) => save(this)).catch(() => {});
      return value;
    };
    if (areTakenAway(args)) throw settle(new Error(`Fleetune: ${one.name} failed after it took the arguments of ${this.name} away`, { cause: error }));
    const pass = (/** @type {unknown} */ its) => {
      throw (this.#passed = its);
    };
    try {
      const result = this.#refer()(...args);
      return isPromise(result) ? result.then(settle, pass) : settle(result);
    } catch (its) {
      return pass(its);
    }
  }

  /** @param {string} pattern @param {number} size */
  choice = (pattern, size) => this.#steps(pattern).findLast(([from]) => from <= size)?.[1] ?? this.reference.name;

  /**
   * Measure now, in the page's idle time. Ends near the budget with what was measured by then.
   * @param {{budgetMs?: number, signal?: AbortSignal}} [how]
   */
  async measure(how = {}) {
    return (await import("./learn.js")).measureNow(this, how);
  }

  /** Measure without being asked, as `measure` says. Who only uses what is known need not fetch how to measure. */
  async learn() {
    if (globalThis.document === undefined && String(/** @type {any} */ (globalThis).name).startsWith(WORKER)) return (await import("./in_worker.js")).answer(this);
    if (this.options.measure === "idle") return (await import("./learn.js")).learn(this);
    if (this.options.measure === "calls") return (await import("./from_calls.js")).learnFromCalls(this);
    return undefined;
  }

  /** Keep what was measured of a context, and follow it. @param {string} pattern @param {number} size @param {Cell} cell */
  found(pattern, size, cell) {
    this.measuredAt = Date.now();
    (this.cells[pattern] ??= {})[size] = cell;
    this.follow();
  }

  /** What is known, context by context. */
  contexts() {
    return this.options.patterns.flatMap((pattern) =>
      Object.entries(this.cells[pattern] ?? {}).map(([size, { times, verdict }]) => ({ pattern, size: Number(size), choice: this.choice(pattern, Number(size)), verdict, times })),
    );
  }

  /**
   * What runs for a call, and why.
   * @param {{size?: number, pattern?: string}} [call] @returns {import("./fleetune.d.ts").ChoiceExplanation}
   */
  explain(call) {
    const { sizes, patterns } = this.options;
    const { size = sizes[0], pattern = patterns[0] } = call ?? {};
    if (!isCount(size) || !patterns.includes(pattern)) throw new RangeError(`Fleetune: explain of ${this.name} takes a size from 0 on and one of its patterns`);
    return explained(this.implementations, this.choice(pattern, size), this.cells[pattern] ?? {}, size);
  }

  /** Stop measuring and let every implementation but the reference go. */
  close() {
    this.closed.abort();
    for (const one of this.implementations) if (one !== this.reference) one.setAside("closed", false);
    this.follow();
  }
}

/** @param {string} name @param {Record<string, any>} implementations @param {ChooseOptions} options */
async function made(name, implementations, options) {
  try {
    return new Chooser(name, implementations, options);
  } catch (error) {
    throw (await import("./wrong.js")).wrong(name, implementations, options) ?? error;
  }
}

/**
 * A function that runs the fastest of several implementations, by size.
 * @param {string} name of the job @param {Record<string, any>} implementations the first is the reference and the fallback
 * @param {ChooseOptions} [options] @returns {Promise<any>}
 */
export async function choose(name, implementations, options = {}) {
  const chooser = await made(name, implementations, options);
  const call = await chooser.start();
  const failed = (/** @type {unknown} */ error) => setTimeout(() => chooser.dispatchEvent(new CustomEvent("failed", { detail: error })));
  const { server, keys } = chooser.options;
  if (server) import("./first_guess.js").then(({ follow }) => follow(chooser, String(server), keys)).catch(failed);
  const ready = chooser.learn();
  ready.catch(failed);
  const bound = (/** @type {"measure" | "explain" | "contexts" | "described" | "close" | "addEventListener" | "removeEventListener"} */ method) => [method, /** @type {any} */ (chooser)[method].bind(chooser)];
  return Object.assign(call, { ready }, Object.fromEntries(["measure", "explain", "contexts", "described", "close", "addEventListener", "removeEventListener"].map(/** @type {any} */ (bound))));
}
