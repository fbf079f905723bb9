// @ts-check
/** One kernel as a page calls it: modules, checked, and the dispatcher over the decisions. */
import { Arena } from "./arena.js";
import { near, seeded } from "./compare.js";

/**
 * @typedef {(...args: any[]) => any} Call
 * @typedef {{size: number, log2Size: number, choice: string, speedup: number, low: number, high: number, source: string,
 *   why?: string, candidates: Record<string, number>}} Decision
 */

/** @typedef {[number, string]} Step from which size which call, or which two: `inside,outside` */
/** Beyond all sizes. */
const NEVER = 2 ** 30 - 1;
const COPIED = "+copied";
/** Sizes for the check against JavaScript: small, odd, and past every unrolling. */
const CHECK_SIZES = [1, 7, 67];

export class TunedKernel {
  /** @type {Map<string, Call>} */
  #calls = new Map();
  /** @type {Map<string, string>} candidate → why it is not used */
  setAside = new Map();
  /** What each site of the dispatcher (embed.py) calls or has called. @type {string[]} */
  #sites;
  #followed = "";
  /** @type {Step[]} */
  #next = [];
  #dispatcher;

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
    this.#sites = Array(script.sites).fill("");
    for (const name of entry.baselines) this.#calls.set(name, script.baselines[name]);
    this.#dispatcher = script.dispatcher(this.arena.buffer, () => this.#wake());
    /** @type {Call} */
    this.call = this.#dispatcher.call;
  }

  /** Load what these decisions choose, then follow them. @param {Record<string, Decision[]>} patterns */
  async follow(patterns) {
    const resident = patterns[this.pattern] ?? [];
    const copied = patterns[this.pattern + COPIED] ?? resident;
    const names = new Set([...resident, ...copied].map((decision) => decision.choice));
    await Promise.all([...names].map((name) => this.#ready(name)));
    const tables = [resident, copied].map((rows) => this.#steps(rows));
    /** @type {Step[]} */
    const steps = [];
    for (const [begin] of tables.flat().sort(([a], [b]) => a - b)) {
      const calls = String(tables.map((one) => one.filter(([from]) => from <= begin).at(-1)?.[1] ?? "js"));
      if (steps.at(-1)?.[1] !== calls) steps.push([begin, calls]);
    }
    if (this.#followed === (this.#followed = String(steps))) return;
    if (steps[0]?.[1] === "js,js") steps.shift();
    this.#next = steps;
    this.#dispatcher.follow(steps[0]?.[0] ?? NEVER, NEVER);
  }

  /** Before the first call of a module. */
  #wake() {
    const to = this.#place(this.#next);
    const [inside, outside] = [0, 1].map((place) => this.#sites.map((calls) => this.#calls.get(calls.split(",")[place])));
    this.#dispatcher.fill(to, inside, outside);
  }

  /** From which size which call: the nearest log2 size's, rounded as contexts are. @param {Decision[]} decisions ascending */
  #steps(decisions) {
    /** @type {Step[]} */
    const steps = [];
    decisions.forEach(({ choice, log2Size }, i) => {
      const call = this.#calls.has(choice) ? choice : "js";
      const begin = i && Math.ceil(2 ** (Math.floor((decisions[i - 1].log2Size + log2Size) / 2) + 0.5));
      if (steps.at(-1)?.[1] !== call) steps.push([begin, call]);
    });
    return steps;
  }

  /** A site for each step, in order: one that called the same before, else a fresh one. @param {Step[]} steps */
  #place(steps) {
    const to = this.#sites.map(() => 0);
    let at = 0;
    steps.forEach(([, calls], i) => {
      const free = this.#sites.slice(at, i - steps.length + 1 || undefined);
      at += [calls, ""].map((wanted) => free.indexOf(wanted)).find((k) => k >= 0) ?? 0;
      to[at] = steps[i + 1]?.[0] ?? NEVER;
      this.#sites[at++] = calls;
    });
    return to;
  }

  /** Instantiate and check a variant; what fails is set aside for JavaScript. @param {string} name */
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
