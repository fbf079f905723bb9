// @ts-check
/** One kernel as a page calls it: modules, checked, and the dispatcher over the decisions. */
import { Arena } from "./arena.js";
import { near, seeded } from "./compare.js";

/**
 * @typedef {(...args: any[]) => any} Call
 * @typedef {{log2Size: number, choice: string}} Decision
 */

/** @typedef {[number, string]} Step from which size which call, or which two: `inside,outside` */
/** Beyond all sizes. */
const NEVER = 2 ** 30 - 1;
/** Checked against JavaScript: small, odd, past every unrolling. */
const CHECK_SIZES = [1, 7, 67];

export class TunedKernel {
  /** Make a candidate's call, for all arrays or those in the kernel's memory. @type {Map<string, (outside?: Call) => Call>} */
  #makers = new Map();
  /** @type {Map<string, string>} candidate → why it is not used */
  setAside = new Map();
  /** What each site (embed.py) calls or has called. @type {[string, Call?][]} */
  #sites;
  #followed = "";
  /** Inside, outside. @type {Decision[][]} */
  #both = [[], []];
  /** @type {Step[]} */
  #next = [];
  #dispatcher;

  /**
   * @param {any} entry of the manifest @param {any} script its module of embed/ @param {number} memoryBytes
   * @param {(candidate: string) => Promise<WebAssembly.Module>} load @param {string} pattern whose decisions are followed
   * @param {(candidate: string, reason: string) => void} [onSetAside] @param {Arena} [arena]
   */
  constructor(entry, script, memoryBytes, load, pattern, onSetAside = () => {}, arena) {
    this.entry = entry;
    this.script = script;
    this.pattern = pattern;
    this.load = load;
    this.onSetAside = onSetAside;
    this.memoryBytes = memoryBytes;
    this.arena = arena ?? new Arena(entry.dataEnd, entry.memory ? 0 : memoryBytes);
    this.fallback = script.baselines.js;
    this.arena.onUsed = () => this.#settle();
    this.#sites = Array(script.sites).fill([""]);
    for (const name of entry.baselines) this.#makers.set(name, (outside) => script.placed(this.arena.buffer, script.baselines[name], outside));
    this.#dispatcher = script.dispatcher((/** @type {number} */ size) => this.#fill(1 + this.#next.findLastIndex(([from]) => from <= size)));
    this.call = this.#dispatcher.call;
  }

  /** Load what is chosen, then follow it. @param {Record<string, Decision[]>} patterns */
  async follow(patterns) {
    const resident = patterns[this.pattern] ?? []; // modules with memories of their own have copies only
    const both = [resident, patterns[`${this.pattern}+copied`] ?? resident];
    const chosen = new Set(both.flat().map(({ choice }) => choice));
    await Promise.all([...chosen].map((name) => this.#ready(name)));
    this.#both = both;
    this.#settle();
  }

  /** Before the first `alloc` no call need ask where its arrays lie. */
  #settle() {
    const tables = this.#both.slice(this.arena.used ? 0 : 1).map((rows) => this.#steps(rows));
    const steps = /** @type {Step[]} */ ([]);
    for (const begin of [0, ...tables.flat().map(([from]) => from)].sort((a, b) => a - b)) {
      const names = String([...new Set(tables.map((one) => one.findLast(([from]) => from <= begin)?.[1] ?? "js"))]);
      if (steps.at(-1)?.[1] !== names) steps.push([begin, names]);
    }
    if (this.#followed === (this.#followed = String(steps))) return;
    this.#next = steps;
    this.#fill(0); // more when they are called
  }

  /** Sites for so many steps: one that called the same before, else a fresh one. @param {number} count */
  #fill(count) {
    const steps = this.#next;
    const to = this.#sites.map(() => 0);
    let at = 0;
    steps.slice(0, count).forEach(([, names], i) => {
      const free = this.#sites.slice(at, i - steps.length + 1 || undefined).map(([taken]) => taken);
      at += [names, ""].map((wanted) => free.indexOf(wanted)).find((k) => k >= 0) ?? 0;
      to[at] = steps[i + 1]?.[0] ?? NEVER;
      if (this.#sites[at][0] !== names) {
        const [inside, outside] = names.split(",").map((name) => /** @type {any} */ (this.#makers.get(name)));
        this.#sites[at] = [names, inside(outside?.())];
      }
      at++;
    });
    this.#dispatcher.fill(to, this.#sites.map(([, call]) => call));
    this.#dispatcher.follow(steps[count]?.[0] ?? NEVER);
  }

  /** From which size which call: the nearest log2 size's, rounded as contexts are. @param {Decision[]} decisions ascending */
  #steps(decisions) {
    const steps = /** @type {Step[]} */ ([]);
    decisions.forEach(({ choice, log2Size }, i) => {
      const call = this.#makers.has(choice) ? choice : "js";
      const begin = i && Math.ceil(2 ** (Math.floor((decisions[i - 1].log2Size + log2Size) / 2) + 0.5));
      if (steps.at(-1)?.[1] !== call) steps.push([begin, call]);
    });
    return steps;
  }

  /** What fails is set aside. @param {string} name */
  async #ready(name) {
    if (this.#makers.has(name) || this.setAside.has(name)) return;
    try {
      const module = await this.load(name);
      const { exports } = await WebAssembly.instantiate(module, { env: { memory: /** @type {any} */ (this.arena.memory) } });
      const [run, arena] = this.entry.own
        ? (await import("./own_kernel.js")).bound(this.entry, name, exports, this.script, this.arena, this.memoryBytes)
        : [exports.run, this.arena];
      /** @param {Call} [outside] */
      const maker = (outside) => this.script.bind[name](run, arena, this.fallback, outside);
      const problem = this.#check(maker());
      if (problem) throw new Error(problem);
      this.#makers.set(name, maker);
    } catch (error) {
      const reason = /** @type {Error} */ (error).message;
      this.setAside.set(name, reason);
      this.onSetAside(name, reason);
    }
  }

  /** The first difference from the JavaScript baseline, if any. @param {Call} call */
  #check(call) {
    const { tolerance, params, patterns } = this.entry;
    for (const size of CHECK_SIZES) {
      const [expected, actual] = [0, 1].map(() => this.script.makeInput(size, patterns[0], seeded(size)));
      const results = [this.fallback(...expected), call(...actual)];
      if (!near(tolerance, results[0] ?? 0, results[1] ?? 0)) return `wrong result for size ${size}`;
      for (const [index, { dir, name }] of params.entries()) {
        if (dir !== "out" && dir !== "inout") continue;
        if (!expected[index].every((/** @type {number} */ value, /** @type {number} */ i) => near(tolerance, value, actual[index][i]))) {
          return `wrong ${name} for size ${size}`;
        }
      }
    }
    return undefined;
  }
}
