// @ts-check
/** One kernel as a page calls it: its modules and its dispatcher. */
/** @import { CallHooks, CallNote, EmbedScript, KernelCall as Call, KernelEntry, TypedArray, Value } from "../shared/wire" */
import { ask } from "../shared/api.js";
import { Arena } from "../shared/arena.js";
import * as rules from "../shared/arguments.js";
import { near, seeded } from "../shared/numbers.js";

/** @typedef {{log2Size: number, choice: string}} Decision */
/** @typedef {[number, string]} Step the first size, and the call from there on or both calls, `inside,outside` */

/** Beyond all sizes. */
const NEVER = 2 ** 30 - 1;
/** Small, odd, past every unrolling. */
const CHECK_SIZES = [1, 7, 67];
/** A deep recursion is the page's. */
const STACK = /call stack|too much recursion/;
/** @param {string} why @returns {never} */
const refuse = (why) => {
  throw new Error(why);
};
/** While a module is checked nobody stands in for it. @type {CallHooks} */
const STRICT = {
  large: () => refuse("there is no room for its arguments"),
  repeated: () => refuse("its result is not finite"),
  failed: (error) => refuse(`it failed: ${error instanceof Error ? error.message : error}`),
};

/** @param {Step[]} steps @param {number} size */
const chosen = (steps, size) => steps.findLast(([from]) => from <= size)?.[1] ?? "js";
/** @param {string} name */
const tooLarge = (name) => `${name} was chosen, but there is no room to copy so much (memoryBytes, alloc), so JavaScript runs.`;
/** What the dispatcher knows of its last call. @param {number | CallNote | undefined} last @returns {{size: number, inside: boolean}} */
const placeOf = (last = -1) => (typeof last === "object" ? last : last < 0 ? { size: -1 - last, inside: false } : { size: Math.floor(last), inside: true });

/** Fetches a kernel's modules. @param {string} root @param {KernelEntry} entry */
export const moduleLoader = (root, { name, variants }) => (/** @type {string} */ candidate) =>
  WebAssembly.compileStreaming(ask(`${root}embed/${name}/${encodeURIComponent(candidate)}.wasm`, true, (variants.find((one) => one.name === candidate) ?? refuse("its entry lacks it")).integrity));

export class TunedKernel {
  /** Makes a candidate's call, for all arrays or for those in the kernel's memory. @type {Map<string, (outside?: Call) => Call>} */
  #makers = new Map();
  /** @type {Map<string, string>} candidate → why it is not used */
  setAside = new Map();
  /** What each call site of the script calls or called. @type {[string, Call?][]} */
  #sites;
  #followed = "";
  /** Decisions for arrays inside and outside the kernel's memory. @type {Decision[][]} */
  #both = [[], []];
  /** @type {Step[]} */
  #next = [];
  /** The steps inside and outside. @type {Step[][]} */
  #tables = [[], []];
  /** The least size of a call for whose copies there was no room. */
  #large = Infinity;
  #dispatcher;

  /**
   * @param {KernelEntry} entry @param {EmbedScript} script @param {number} memoryBytes
   * @param {ReturnType<typeof moduleLoader>} load @param {string} pattern whose decisions it follows
   * @param {(candidate: string, reason: string) => void} [onSetAside] @param {Arena} [arena]
   */
  constructor(entry, script, memoryBytes, load, pattern, onSetAside = () => {}, arena) {
    this.entry = entry;
    this.script = script;
    this.pattern = pattern;
    this.load = load;
    this.onSetAside = onSetAside;
    this.memoryBytes = memoryBytes;
    this.arena = arena ?? new Arena(entry, entry.memory ? 0 : memoryBytes);
    this.fallback = script.baselines.js;
    this.arena.onUsed = () => this.#settle();
    this.#sites = Array(script.sites).fill([""]);
    for (const name of entry.baselines) this.#makers.set(name, (outside) => script.placed(this.arena, script.baselines[name], outside));
    const wake = (/** @type {number} */ size) => this.#fill(1 + this.#next.findLastIndex(([from]) => from <= size));
    this.#dispatcher = script.dispatcher(wake, this.arena, rules);
    this.call = this.#dispatcher.call;
  }

  /** Load the chosen modules, then follow the decisions. @param {Record<string, Decision[]>} patterns */
  async follow(patterns) {
    const resident = patterns[this.pattern] ?? []; // modules with memories of their own have copies only
    const both = [resident, patterns[`${this.pattern}+copied`] ?? resident];
    const chosen = new Set(both.flat().map(({ choice }) => choice));
    await Promise.all([...chosen].map((name) => this.#ready(name)));
    this.#both = both;
    this.#settle();
  }

  /** Before the first `alloc`, no call asks where its arrays lie. */
  #settle() {
    this.#tables = this.#both.map((rows) => this.#steps(rows));
    const tables = this.#tables.slice(this.arena.used ? 0 : 1);
    const steps = /** @type {Step[]} */ ([]);
    for (const begin of [0, ...tables.flat().map(([from]) => from)].sort((a, b) => a - b)) {
      const names = String([...new Set(tables.map((one) => chosen(one, begin)))]);
      if (steps.at(-1)?.[1] !== names) steps.push([begin, names]);
    }
    if (this.#followed === (this.#followed = String(steps))) return;
    this.#next = steps;
    this.#fill(0); // sizes that are called get more
  }

  /** Give the first `count` steps a site: one that called the same before, else a fresh one. @param {number} count */
  #fill(count) {
    const steps = this.#next;
    const to = this.#sites.map(() => 0);
    let at = 0;
    steps.slice(0, count).forEach(([, names], i) => {
      const free = this.#sites.slice(at, i - steps.length + 1 || undefined).map(([taken]) => taken);
      at += [names, ""].map((wanted) => free.indexOf(wanted)).find((k) => k >= 0) ?? 0;
      to[at] = steps[i + 1]?.[0] ?? NEVER;
      if (this.#sites[at][0] !== names) {
        const [inside, outside] = names.split(",").map((name) => this.#makers.get(name));
        this.#sites[at] = [names, inside?.(outside?.())];
      }
      at++;
    });
    this.#dispatcher.fill(to, this.#sites.map(([, call]) => call));
    this.#dispatcher.follow(steps[count]?.[0] ?? NEVER);
  }

  /** The call from each size on: the nearest log2 size's. @param {Decision[]} decisions ascending */
  #steps(decisions) {
    const steps = /** @type {Step[]} */ ([]);
    decisions.forEach(({ choice, log2Size }, i) => {
      const call = this.#makers.has(choice) ? choice : "js";
      const begin = i && Math.ceil(2 ** (Math.floor((decisions[i - 1].log2Size + log2Size) / 2) + 0.5));
      if (steps.at(-1)?.[1] !== call) steps.push([begin, call]);
    });
    return steps;
  }

  /** Load and check a module; set it aside if it fails. @param {string} name */
  async #ready(name) {
    if (this.#makers.has(name) || this.setAside.has(name)) return;
    try {
      const module = await this.load(name);
      const { memory, refused } = this.arena;
      if (refused && !this.entry.memory) throw new Error(refused);
      const { exports } = await WebAssembly.instantiate(module, memory ? { env: { memory } } : {});
      const [run, arena] = this.entry.own
        ? (await import("../shared/own_kernel.js")).bound(this.entry, name, exports, this.script, this.arena, this.memoryBytes)
        : [exports.run, this.arena];
      /** @param {Call} [outside] @param {CallHooks} [hooks] */
      const maker = (outside, hooks = this.#hooks(name)) => this.script.bind[name](/** @type {Call} */ (run), arena, hooks, outside);
      const problem = this.#check(maker(undefined, STRICT));
      if (problem) throw new Error(problem);
      this.#makers.set(name, maker);
    } catch (error) {
      this.#drop(name, /** @type {Error} */ (error).message);
    }
  }

  /** Set a candidate aside. @param {string} name @param {string} reason */
  #drop(name, reason) {
    this.#makers.delete(name);
    this.setAside.set(name, reason);
    this.onSetAside(name, reason);
  }

  /** @param {string} name @returns {CallHooks} */
  #hooks(name) {
    /** JavaScript makes the call; `explain` hears why. @param {string} why @param {Value[]} args */
    const instead = (why, args) => {
      this.#dispatcher.tell({ ...placeOf(this.#dispatcher.last()), variant: "js", why });
      return this.fallback(...args);
    };
    return {
      large: (...args) => {
        this.#large = Math.min(this.#large, placeOf(this.#dispatcher.last()).size);
        return instead(tooLarge(name), args);
      },
      repeated: (...args) => instead(`${name} ran, but its result left single precision, so JavaScript computed it in doubles.`, args),
      failed: (error, ...args) => {
        const reason = error instanceof Error ? error.message : String(error);
        if (!STACK.test(reason)) {
          this.#drop(name, `a call failed: ${reason}`);
          this.#settle();
        }
        return instead(`${name} failed (${reason}), so JavaScript made the call.`, args);
      },
    };
  }

  /** The candidate that made the last call, where its arrays lay and, if that was no decision, why. */
  get last() {
    const last = this.#dispatcher.last();
    if (last === undefined) return undefined;
    const place = placeOf(last);
    return { ...this.chosen(place.size, place.inside), ...place };
  }

  /** The candidate that makes calls of this size. @param {number} size @param {boolean} inside whether the arrays lie in the kernel's memory @returns {{variant: string, why?: string}} */
  chosen(size, inside) {
    const variant = chosen(this.#tables[inside ? 0 : 1], size);
    return inside || size < this.#large || this.entry.baselines.includes(variant) ? { variant } : { variant: "js", why: tooLarge(variant) };
  }

  /** The first difference from the JavaScript baseline, if any. @param {Call} call */
  #check(call) {
    const { tolerance, params, patterns, returns } = this.entry;
    for (const size of CHECK_SIZES) {
      const [expected, actual] = [0, 1].map(() => this.script.makeInput(size, patterns[0], seeded(size)));
      const results = [this.fallback(...expected), call(...actual)];
      if (returns !== "void" && !near(tolerance, results[0] ?? NaN, results[1] ?? NaN)) return `wrong result for size ${size}`;
      for (const [index, { dir, name }] of params.entries()) {
        if (dir !== "out" && dir !== "inout") continue;
        const [wanted, given] = [expected, actual].map((args) => /** @type {TypedArray} */ (args[index]));
        if (!wanted.every((value, i) => near(tolerance, value, given[i]))) return `wrong ${name} for size ${size}`;
      }
    }
    return undefined;
  }
}
