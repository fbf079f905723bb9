// @ts-check
/** One kernel as a page calls it: modules, checked, and the dispatcher over the decisions. */
import { Arena } from "./arena.js";
import { near, seeded } from "./compare.js";

/**
 * @typedef {(...args: any[]) => any} Call
 * @typedef {{size: number, log2Size: number, choice: string, speedup: number, low: number, high: number, source: string,
 *   why?: string, candidates: Record<string, number>}} Decision
 */

const BUCKETS = 32;
const COPIED = "+copied";
/** Sizes for the check against JavaScript: small, odd, and past every unrolling. */
const CHECK_SIZES = [1, 7, 67];

export class TunedKernel {
  /** @type {Map<string, Call>} */
  #calls = new Map();
  /** @type {Map<string, string>} candidate → why it is not used */
  setAside = new Map();
  /** The 32 calls by log2 size bucket that the dispatcher indexes; replaced in place when decisions change. */
  #resident;
  #copied;
  /** Below `js` elements both say JavaScript. */
  #limits = { js: 0 };

  /**
   * @param {any} entry the kernel's entry of the manifest
   * @param {any} script its module of embed/
   * @param {number} memoryBytes
   * @param {(candidate: string) => Promise<WebAssembly.Module>} load
   * @param {string} pattern the data pattern whose decisions are followed
   * @param {(candidate: string, reason: string) => void} [onSetAside]
   * @param {Arena} [arena]
   */
  constructor(entry, script, memoryBytes, load, pattern, onSetAside = () => {}, arena) {
    this.entry = entry;
    this.script = script;
    this.pattern = pattern;
    this.load = load;
    this.onSetAside = onSetAside;
    this.memoryBytes = memoryBytes;
    this.arena = arena ?? new Arena(entry.dataEnd, entry.memory ? 0 : memoryBytes);
    /** @type {Call} */
    this.fallback = script.baselines.js;
    this.#resident = Array(BUCKETS).fill(this.fallback);
    this.#copied = Array(BUCKETS).fill(this.fallback);
    for (const name of entry.baselines) this.#calls.set(name, script.baselines[name]);
    this.call = script.dispatcher(this.#resident, this.#copied, this.arena.buffer, this.#limits);
  }

  /** Follow these decisions: load what they choose, then swap both tables. @param {Record<string, Decision[]>} patterns */
  async follow(patterns) {
    const resident = patterns[this.pattern] ?? [];
    const copied = patterns[this.pattern + COPIED] ?? resident;
    const names = new Set([...resident, ...copied].map((decision) => decision.choice));
    await Promise.all([...names].map((name) => this.#ready(name)));
    this.#fill(this.#resident, resident);
    this.#fill(this.#copied, copied);
    const first = this.#resident.findIndex((call, bucket) => call !== this.fallback || this.#copied[bucket] !== this.fallback);
    this.#limits.js = first < 0 ? 2 ** 31 : first && Math.ceil(2 ** (first - 0.5));
  }

  /** @param {Call[]} table @param {Decision[]} decisions ascending sizes */
  #fill(table, decisions) {
    if (!decisions.length) return;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      // The decision for the nearest size that the catalogue measures.
      const nearest = decisions.reduce((best, next) =>
        Math.abs(next.log2Size - bucket) < Math.abs(best.log2Size - bucket) ? next : best,
      );
      table[bucket] = this.#calls.get(nearest.choice) ?? this.fallback;
    }
  }

  /** Instantiate a variant and check it; what fails is set aside and JavaScript takes its place. @param {string} name */
  async #ready(name) {
    if (this.#calls.has(name) || this.setAside.has(name)) return;
    try {
      const module = await this.load(name);
      const { exports } = await WebAssembly.instantiate(module, {
        env: { memory: /** @type {WebAssembly.Memory} */ (this.arena.memory) },
      });
      const [run, arena] = this.entry.own
        ? (await import("./own_kernel.js")).bound(this.entry, name, exports, this.script, this.arena, this.memoryBytes)
        : [exports.run, this.arena];
      const call = this.script.bind[name](run, arena, this.fallback);
      const problem = this.#check(call);
      if (problem) throw new Error(problem);
      this.#calls.set(name, call);
    } catch (error) {
      const reason = /** @type {Error} */ (error).message;
      this.setAside.set(name, reason);
      this.onSetAside(name, reason);
    }
  }

  /** The first difference from the JavaScript baseline, if any. @param {Call} call */
  #check(call) {
    for (const size of CHECK_SIZES) {
      const [expected, actual] = [0, 1].map(() => this.script.makeInput(size, this.entry.patterns[0], seeded(size)));
      const results = [this.fallback(...expected), call(...actual)];
      if (!near(this.entry.tolerance, results[0] ?? 0, results[1] ?? 0)) return `wrong result for size ${size}`;
      for (const [index, parameter] of this.entry.params.entries()) {
        if (parameter.dir !== "out" && parameter.dir !== "inout") continue;
        if (!expected[index].every((/** @type {number} */ value, /** @type {number} */ i) => near(this.entry.tolerance, value, actual[index][i]))) {
          return `wrong ${parameter.name} for size ${size}`;
        }
      }
    }
    return undefined;
  }
}
