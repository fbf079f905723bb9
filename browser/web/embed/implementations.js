// @ts-check
/** One implementation of a job: loaded when wanted, called safely, set aside when it fails. */
import { copyOf, restored } from "./values.js";

/** @typedef {(...args: any[]) => any} Call */
/** @typedef {import("./fleetune.d.ts").ImplementationOptions} Given */

const LOAD_MS = 30_000; // a load that takes longer hangs
const CALL_MS = 10_000; // so does a call of the page
const SLOWER = 50; // or one that takes so many times as long as expected

/** @param {number} [ms] @returns {Promise<void>} */
export const pause = (ms = 0) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms))); // of less, Node warns

/** @template T @param {T | Promise<T>} working @param {number} ms @param {Promise<never>} [ended] rejects when nobody waits any longer @returns {Promise<T>} */
export function within(working, ms, ended) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`it did not end within ${ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`}`)), ms)));
  return Promise.race(ended ? [working, late, ended] : [working, late]).finally(() => clearTimeout(timer));
}

const BEAT_MS = 1000;
/** Calls of the page that have not ended: one timer looks after all, for a timer a call would cost more than many a call. @type {Set<{beats: number, late: () => void}>} */
const pending = new Set();
/** @type {ReturnType<typeof setInterval> | undefined} */
let beating;

function beat() {
  for (const one of pending) if (one.beats-- <= 0) one.late();
  if (pending.size) return;
  clearInterval(beating);
  beating = undefined;
}

/**
 * Make a call of the page and see that it ends, to a second. One promise for all, because each takes time.
 * @param {Call} call @param {any[]} args @param {number} ms @param {(error: unknown) => any} failed what to reject with
 */
function watched(call, args, ms, failed) {
  return new Promise((resolve, reject) => {
    const fail = (/** @type {unknown} */ error) => (pending.delete(one), reject(failed(error)));
    const one = { beats: Math.ceil(ms / BEAT_MS), late: () => fail(new Error(`it did not end within ${Math.round(ms / 1000)} s`)) };
    try {
      const working = call(...args);
      if (!isPromise(working)) return resolve(working);
      pending.add(one);
      beating ??= setInterval(beat, BEAT_MS);
      working.then((/** @type {any} */ result) => (pending.delete(one), resolve(result)), fail);
    } catch (error) {
      fail(error);
    }
  });
}

/** A function's text, and settings as far as a text can tell them apart. @param {unknown} value */
function textOf(value) {
  try {
    if (typeof value === "function") return Function.prototype.toString.call(value);
    return JSON.stringify(value, (_, one) => (ArrayBuffer.isView(one) ? one.byteLength : typeof one === "bigint" ? String(one) : one));
  } catch {
    return ""; // a ring, or what refuses to be read
  }
}

/** FNV-1a of what can be seen of some values: a key for storage, nothing secret. @param {...unknown} values */
export function digest(...values) {
  const text = values.map(textOf).join();
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(36);
}

/** What an error says; anything can be thrown. @param {any} error @returns {string} */
export function said(error) {
  try {
    return String(error?.message ?? error);
  } catch {
    return "what it threw cannot be shown";
  }
}

export class Implementation {
  /** @type {Call | undefined} once it is loaded */
  call;
  /** Why it is not used. @type {string | undefined} */
  reason;
  /** Whether it gave that reason itself, by failing. */
  failed = false;
  /** It changes or takes away its arguments, which the reference does not: it gets copies. */
  copies = false;
  /** ms that loading took, and bytes that it fetched. */
  loadMs = 0;
  /** @type {Promise<boolean> | undefined} */
  #loading;
  #given;

  /** @param {string} name @param {Call | Given} given @param {string} [job] */
  constructor(name, given, job) {
    this.name = name;
    this.job = job;
    const plain = typeof given === "function";
    /** @type {Given} */
    this.#given = plain ? { load: () => given } : given;
    this.bytes = plain ? 0 : given.bytes ?? Infinity;
    this.plain = plain;
    /** Whether its calls give promises, as far as that can be told without one. */
    this.async = plain ? given.constructor?.name === "AsyncFunction" : given.async ?? true;
    const { params = {}, version = "", load } = this.#given;
    /** The version that the page states. @type {string | undefined} */
    this.stated = version || undefined;
    this.version = version || digest(plain ? given : load, params);
  }

  get ready() {
    return this.call !== undefined && this.reason === undefined;
  }

  /** @returns {Promise<boolean>} whether it can be used */
  load() {
    return (this.#loading ??= this.#load());
  }

  /** Its function, for whom nothing else will do: a load that failed is tried again the next time. @returns {Promise<Call>} */
  async needed() {
    if (await this.load()) return /** @type {Call} */ (this.call);
    const { name, job, reason } = this;
    this.reason = this.#loading = undefined;
    throw new Error(`Fleetune: the reference ${name} of ${job} cannot be used: ${reason}`);
  }

  async #load() {
    const { params = {} } = this.#given;
    try {
      if (this.#given.supported && !(await within(this.#given.supported(), LOAD_MS))) {
        this.reason = "it is not supported here";
        return false;
      }
      const began = performance.now();
      const call = await within(this.#given.load(params), LOAD_MS);
      if (typeof call !== "function") throw new Error("load did not give a function");
      this.loadMs = performance.now() - began;
      const fetched = this.plain ? [] : performance.getEntriesByType?.("resource").filter(({ startTime }) => startTime >= began) ?? [];
      if (!Number.isFinite(this.bytes)) this.bytes = fetched.reduce((sum, entry) => sum + /** @type {any} */ (entry).encodedBodySize, 0);
      this.call = call;
      if (this.reason) this.#dispose(); // closed meanwhile
    } catch (error) {
      this.reason ??= `it could not be loaded: ${said(error)}`;
    }
    return this.ready;
  }

  /** @param {string} reason @param {boolean} [failed] @returns {boolean} whether it was in use until now */
  setAside(reason, failed = true) {
    if (this.reason !== undefined) return false;
    this.reason = reason;
    this.failed = failed;
    this.#dispose();
    return true;
  }

  #dispose() {
    const call = this.call;
    this.call = this.#loading = undefined;
    if (call) Promise.resolve(call).then((it) => this.#given.dispose?.(it)).catch(() => {}); // it is not used any longer, so its failure changes nothing
  }

  /**
   * What a call site calls; it throws Failed where the failing call or its arguments could not be told from the outside.
   * @param {boolean} waits the choice is asynchronous @param {boolean} inPlace the job changes its arguments @param {number} expectedMs of a call
   * @returns {Call}
   */
  bound(waits, inPlace, expectedMs) {
    const own = /** @type {Call} */ (this.call);
    const call = this.copies ? (/** @type {any[]} */ ...args) => own(...copyOf(args)) : own;
    if (!waits && !inPlace) return call;
    /** @param {any[]} args @param {any[] | false} kept */
    const failed = (args, kept) => (/** @type {unknown} */ error) => new Failed(this, error, kept ? args.map((one, i) => restored(one, kept[i])) : args);
    if (waits) {
      const limit = Math.max(CALL_MS, SLOWER * expectedMs);
      return (...args) => watched(call, args, limit, failed(args, inPlace && copyOf(args)));
    }
    return (...args) => {
      const kept = copyOf(args);
      try {
        return own(...args);
      } catch (error) {
        throw failed(args, kept)(error);
      }
    };
  }
}

/** A failed call: whose, why, and its arguments as they were before. */
export class Failed {
  /** @param {Implementation} one @param {unknown} cause @param {any[]} args */
  constructor(one, cause, args) {
    this.one = one;
    this.cause = cause;
    this.args = args;
  }
}

/** @param {any} result @returns {boolean} */
export const isPromise = (result) => typeof result?.then === "function";

/** Whether a call gives a promise. Measuring will say what is wrong with one that fails. @param {Implementation} one @param {any[]} args */
export function givesPromise(one, args) {
  try {
    const call = /** @type {Function} */ (one.call); // without `this`
    const result = call(...copyOf(args));
    if (!isPromise(result)) return false;
    result.then(undefined, () => {});
    return true;
  } catch {
    return false;
  }
}
