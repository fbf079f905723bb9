// @ts-check
/** Fleetune for your own page; fleetune.d.ts says what each method does. Pyodide, sockets and telemetry wait until they are asked for. */
import { EmbedConsent } from "./consent.js";
import { detectEnvironment } from "../shared/environment.js";
import { crowdDecisions, getJson, wayTo, within } from "../shared/api.js";
import { checkMemoryBytes } from "../shared/arena.js";
import { moduleLoader, TunedKernel } from "./tuned_kernel.js";

/** @import { ArrayType, BenchmarkOptions, ConnectOptions, ExplainOptions, Explanation, PatternOptions, SendOptions } from "./fleetune" @import { Python } from "../shared/python"
 * @import { Decisions, DecisionTables, EmbedScript, Environment, KernelEntry, Way } from "../shared/wire" */

const DEFAULT_MEMORY = 16 * 1024 * 1024;
const SERVED_AS = /static(-\w+)?\/embed\/fleetune\.js$/;

/** The server's address, ending in a slash. @param {string | URL} [given] */
function serverAddress(given) {
  if (given) return new URL(`${given}`.replace(/\/?$/, "/"), globalThis.document?.baseURI ?? globalThis.location?.href).href;
  if (SERVED_AS.test(import.meta.url)) return import.meta.url.replace(SERVED_AS, "");
  throw new Error("Fleetune: connect({ server }) must name the server: this file came from elsewhere");
}

/** @param {ConnectOptions} [options] */
export async function connect(options = {}) {
  const server = serverAddress(options.server);
  checkMemoryBytes(options.memoryBytes ?? DEFAULT_MEMORY);
  const environment = detectEnvironment();
  const way = await wayTo(server, options.keys);
  return new Tuner(server, environment, options, await crowdDecisions(server, environment, options.all ? "" : "?kernel=", true, way), way);
}

export class Tuner extends EventTarget {
  /** @type {Map<string, Promise<TunedKernel>>} by name and pattern, loaded or loading */
  #loading = new Map();
  /** @type {Map<string, TunedKernel>} */
  #loaded = new Map();
  /** @type {Promise<Python> | undefined} */
  #python;
  /** @type {Python | undefined} */
  #handle;
  #options;
  #decisions;
  #way;
  #measured = false;
  /** Adds what was timed here. @type {(tables: DecisionTables) => DecisionTables} */
  #confirm = (tables) => tables;
  /** @type {Promise<unknown>} the last swap: one at a time, in order */
  #swapping = Promise.resolve();
  /** @type {(() => void) | undefined} */
  #unsubscribe;

  /** @param {string} server @param {Environment} environment @param {ConnectOptions} options @param {Decisions} decisions @param {Way} [way] */
  constructor(server, environment, options, decisions, way) {
    super();
    this.server = server;
    this.environment = environment;
    this.#options = options;
    this.#decisions = decisions;
    this.#way = way;
    this.consent = new EmbedConsent(server, () => this.#ops(), () => this.running);
    this.#recall().catch(() => {}); // a storage that refuses knows nothing
    if (options.push) this.subscribe().catch(this.#failed);
  }

  /** Follow what an earlier visit measured. */
  async #recall() {
    const { storageOf } = await import("../shared/storage.js");
    const kept = await storageOf(this.server).get("confirmed");
    if (!kept || this.#measured) return;
    const { recalled } = await import("./confirmed.js");
    this.#confirm = recalled(kept, this.environment, this.#root);
    await this.#swap(async () => this.#decisions);
  }

  get version() {
    return this.#decisions.version;
  }

  get #root() {
    return new URL(this.#decisions.root, this.server).href;
  }

  get kernels() {
    return Object.keys(this.#decisions.kernels);
  }

  /** @param {string} name @param {PatternOptions} [options] */
  async kernel(name, { pattern } = {}) {
    const key = keyOf(name, pattern);
    let loading = this.#loading.get(key);
    if (!loading) {
      this.#loading.set(key, (loading = this.#load(name, pattern)));
      loading.then((kernel) => this.#loaded.set(key, kernel), () => this.#loading.delete(key));
    }
    return (await loading).call;
  }

  /** @param {string} name @param {string} [pattern] */
  async #load(name, pattern) {
    this.#patterns(name);
    const root = this.#root;
    const known = this.#know(name);
    const plain = () => Promise.all([getJson(`${root}embed/${name}.json`, true), import(/* webpackIgnore: true */ /* @vite-ignore */ `${root}embed/${name}.js`), known]);
    const [entry, script] = /** @type {[KernelEntry, EmbedScript]} */ (await within((this.#way?.kernel ?? plain)(name, known, plain)));
    const chosen = pattern ?? entry.patterns[0];
    if (!entry.patterns.includes(chosen)) throw new Error(`Fleetune: ${name} knows ${entry.patterns.join(", ")}, not ${chosen}`);
    const kernel = new TunedKernel(entry, script, this.#options.memoryBytes ?? DEFAULT_MEMORY, moduleLoader(root, entry), chosen, (candidate, reason) =>
      this.#tell("setaside", { kernel: name, candidate, reason }),
    );
    let followed;
    do {
      followed = this.#decisions; // a swap may come while modules are loading
      await this.#know(name);
      await kernel.follow(followed.kernels[name]);
    } while (followed !== this.#decisions);
    return kernel;
  }

  /** Ask for a kernel's decisions unless they are known, or it was removed. @param {string} name */
  async #know(name, decisions = this.#decisions) {
    if (Object.keys(decisions.kernels[name] ?? "?").length) return;
    const { kernels } = await this.#ask(`?kernel=${name}&model=${decisions.version}`, true);
    decisions.kernels[name] = this.#confirm(kernels)[name];
  }

  /**
   * @template T
   * @param {string} name @param {ArrayType<T>} Type @param {number} length @param {PatternOptions} [options] @returns {T}
   */
  alloc(name, Type, length, { pattern } = {}) {
    return this.#arena(name, pattern).alloc(Type, length);
  }

  /** @param {string} name @param {PatternOptions} [options] */
  release(name, { pattern } = {}) {
    this.#arena(name, pattern).release();
  }

  /** @param {string} name @param {string} [pattern] */
  #arena(name, pattern) {
    const kernel = this.#loaded.get(keyOf(name, pattern));
    if (!kernel) throw new Error(`Fleetune: ${name} is not loaded: await tuner.kernel("${name}") first`);
    if (kernel.entry.memory) throw new Error(`Fleetune: ${name} has memories of its own: pass ordinary arrays`);
    return kernel.arena;
  }

  /** @param {string} name @param {ExplainOptions} [call] @returns {Explanation} */
  explain(name, { size, pattern, copied } = {}) {
    const patterns = this.#patterns(name);
    const kernel = this.#loaded.get(keyOf(name, pattern));
    const last = size === undefined ? kernel?.last : undefined;
    const at = last?.size ?? size;
    if (typeof at !== "number" || !(at >= 0)) throw new RangeError(`Fleetune: ${name} needs a size from 0 on, not ${String(at)}`);
    const inside = last?.inside ?? !(copied ?? (kernel !== undefined && !kernel.arena.used));
    const resident = pattern ?? Object.keys(patterns)[0];
    const rows = (!inside && patterns[`${resident}+copied`]) || patterns[resident];
    if (!rows) throw new Error(`Fleetune: ${name} has no decisions for ${resident ?? "calls: it is not loaded"}`);
    const log2 = Math.log2(Math.max(at, 1));
    const row = rows.reduce((best, next) => (Math.abs(next.log2Size - log2) < Math.abs(best.log2Size - log2) ? next : best));
    const { variant, why } = last ?? kernel?.chosen(at, inside) ?? { variant: row.choice, why: undefined };
    const way = (kernel?.entry.baselines ?? ["js", "js-tuned"]).includes(variant) ? "javascript" : inside ? "resident" : "copied";
    // At a border between sizes the neighbour's decision may be followed.
    const followed = rows.find(({ choice, log2Size }) => choice === variant && Math.abs(log2Size - row.log2Size) <= 4) ?? row;
    const instead = why ?? (followed.choice !== variant && `${row.choice} was chosen but set aside (${kernel?.setAside.get(row.choice) ?? "it is not loaded"}), so JavaScript runs.`);
    const { speedup = 1, source = "default", low = 1, high = 1 } = instead ? {} : followed;
    const proof = kernel?.entry.variants.find(({ name }) => name === variant)?.proof;
    return { variant, way, speedup, source: source === "only" ? "default" : source, confidence: { low, high }, why: instead || (followed.why ?? `${variant} was chosen.`), proof };
  }

  /** @param {string} name */
  contexts(name) {
    return Object.entries(this.#patterns(name)).flatMap(([pattern, rows]) =>
      rows.map(({ size, choice, speedup, source }) => ({ pattern, size, choice, speedup, source })),
    );
  }

  /** @param {string} name */
  #patterns(name) {
    if (!Object.hasOwn(this.#decisions.kernels, name)) {
      throw new Error(`Fleetune: no kernel ${name}; there are ${this.kernels.join(", ")}`);
    }
    return this.#decisions.kernels[name];
  }

  /** @param {number} [announced] version */
  refresh(announced = this.version) {
    return this.#swap(async () => {
      if (!this.#measured) {
        const next = await this.#ask(`?${this.#options.all ? "" : "kernel=&"}model=${announced}`);
        await Promise.all([...this.#loaded.keys()].map((key) => this.#know(nameOf(key), next)));
        return next;
      }
      // Python decides with the model and with what was measured here.
      const ops = await this.#ops();
      await ops.update();
      return ops.decisions();
    });
  }

  /** Get decisions and follow them, after any swap under way. @param {() => Promise<Pick<Decisions, "version" | "kernels">>} get */
  #swap(get) {
    const swap = async () => {
      const from = this.version;
      const next = { ...this.#decisions, ...(await get()) };
      this.#decisions = { ...next, kernels: this.#confirm(next.kernels) };
      const loaded = [...this.#loaded].map(([key, kernel]) => kernel.follow(this.#decisions.kernels[nameOf(key)] ?? {}));
      await Promise.all(loaded);
      this.#tell("model", { from, to: this.version });
    };
    const swapping = this.#swapping.then(swap);
    this.#swapping = swapping.catch(() => {}); // the caller handles the error
    return swapping;
  }

  async subscribe() {
    if (this.#unsubscribe) return;
    let closed = false;
    this.#unsubscribe = () => (closed = true);
    const { subscribe } = await import("../shared/socket.js");
    if (closed) return;
    const { close } = subscribe({
      server: this.server,
      version: () => this.version,
      onVersion: (version) => {
        if (version === this.version) return;
        this.refresh(version).catch(this.#failed);
      },
    });
    this.#unsubscribe = close;
  }

  #ask = (/** @type {string} */ query, kept = false) => crowdDecisions(this.server, this.environment, query, kept, this.#way);
  #tell = (/** @type {string} */ event, /** @type {unknown} */ detail) => this.dispatchEvent(new CustomEvent(event, { detail }));
  #failed = (/** @type {Error} */ error) => this.#tell("failed", error);

  get running() {
    return this.#handle?.running ?? false;
  }

  /** Python's operations; the first call starts it. */
  async #ops() {
    await this.#way?.remember();
    this.#python ??= import("../shared/python.js").then(({ pythonFor }) => (this.#handle = pythonFor(this.server, this)));
    return (await this.#python).ops();
  }

  /** @param {BenchmarkOptions} [options] */
  async benchmark(options = {}) {
    const { measure } = await import("./confirm_calls.js");
    return measure(() => this.#ops(), options, this.server, this.environment, this.#root, this.#loaded, (confirm) => {
      this.#confirm = confirm;
      this.#measured = true;
      return this.refresh();
    });
  }

  async preview() {
    return (await this.#ops()).preview();
  }

  /** @param {SendOptions} [options] */
  async send(options) {
    return (await import("./consent_dialog.js")).sendSeen(await this.#ops(), options);
  }

  close() {
    this.#unsubscribe?.();
    this.#python?.then((python) => python.close());
  }
}

/** @param {string} name @param {string} [pattern] */
const keyOf = (name, pattern) => `${name}/${pattern ?? ""}`;
/** @param {string} key */
const nameOf = (key) => key.slice(0, key.indexOf("/"));
