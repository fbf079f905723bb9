// @ts-check
/**
 * Fleetune for your own page: the fastest build of a kernel for this browser, by size. Examples: EMBED.md.
 * One cacheable request at `connect`, the modules that are chosen at `kernel`. No Pyodide, no socket, no storage and
 * no telemetry until the page asks for them.
 */
import { EmbedConsent } from "./embed_consent.js";
import { detectEnvironment } from "./environment.js";
import { crowdDecisions, getJson } from "./get_json.js";
import { TunedKernel } from "./tuned_kernel.js";

/** @typedef {import("./fleetune.d.ts").ConnectOptions} ConnectOptions */

const DEFAULT_MEMORY = 16 * 1024 * 1024;
const SERVED_AS = "static/fleetune.js";

/** The server's address, ending in a slash. @param {string} [given] */
function serverAddress(given) {
  if (given) return new URL(given.endsWith("/") ? given : `${given}/`, document.baseURI).href;
  if (import.meta.url.endsWith(SERVED_AS)) return import.meta.url.slice(0, -SERVED_AS.length);
  throw new Error("Fleetune: connect({ server }) must say where the server is, because this file did not come from it");
}

/** Connect to the server that served this module, or to `server`. @param {ConnectOptions} [options] */
export async function connect(options = {}) {
  const server = serverAddress(options.server);
  const environment = detectEnvironment();
  return new Tuner(server, environment, options, await crowdDecisions(server, environment));
}

export class Tuner extends EventTarget {
  /** @type {Map<string, Promise<TunedKernel>>} by name and pattern, loaded or loading */
  #loading = new Map();
  /** @type {Map<string, TunedKernel>} */
  #loaded = new Map();
  /** @type {Promise<import("./python.js").Python> | undefined} */
  #python;
  /** @type {import("./python.js").Python | undefined} */
  #handle;
  #options;
  #decisions;
  #measured = false;
  /** Adds what was timed here. @type {(tables: any) => any} */
  #confirm = (tables) => tables;
  /** @type {Promise<unknown>} the last swap of decisions: one at a time, in order */
  #swapping = Promise.resolve();
  /** @type {(() => void) | undefined} */
  #unsubscribe;

  /** @param {string} server @param {any} environment @param {ConnectOptions} options @param {any} decisions */
  constructor(server, environment, options, decisions) {
    super();
    this.server = server;
    this.environment = environment;
    this.#options = options;
    this.#decisions = decisions;
    this.consent = new EmbedConsent(server, () => this.#ops(), () => this.running);
    if (options.push) this.subscribe();
  }

  /** The model's version. @returns {number} */
  get version() {
    return this.#decisions.version;
  }

  get #root() {
    return new URL(this.#decisions.root, this.server).href;
  }

  /** The names of the server's kernels. @returns {string[]} */
  get kernels() {
    return Object.keys(this.#decisions.kernels);
  }

  /**
   * A function that calls the best variant for each size. Arguments: the JavaScript's.
   * @param {string} name @param {{pattern?: string}} [options] which data pattern's decisions
   */
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
    const [entry, script] = await Promise.all([getJson(`${root}embed/${name}.json`), import(`${root}embed/${name}.js`)]);
    const chosen = pattern ?? entry.patterns[0];
    if (!entry.patterns.includes(chosen)) throw new Error(`Fleetune: ${name} knows ${entry.patterns.join(", ")}, not ${chosen}`);
    /** @param {string} candidate */
    const load = async (candidate) => {
      const response = await fetch(`${root}embed/${name}/${encodeURIComponent(candidate)}.wasm`, { credentials: "omit" });
      if (!response.ok) throw new Error(`its module is not served (${response.status})`);
      return WebAssembly.compileStreaming(response);
    };
    const kernel = new TunedKernel(entry, script, this.#options.memoryBytes ?? DEFAULT_MEMORY, load, chosen, (candidate, reason) =>
      this.dispatchEvent(new CustomEvent("setaside", { detail: { kernel: name, candidate, reason } })),
    );
    let followed;
    do {
      followed = this.#decisions; // a swap may come while modules are loading
      await kernel.follow(followed.kernels[name]);
    } while (followed !== this.#decisions);
    return kernel;
  }

  /**
   * A typed array in a loaded kernel's memory, taken without copying.
   * @template T
   * @param {string} name @param {{new (buffer: ArrayBuffer, offset: number, length: number): T, BYTES_PER_ELEMENT: number}} Type
   * @param {number} length @param {{pattern?: string}} [options] @returns {T}
   */
  alloc(name, Type, length, { pattern } = {}) {
    return this.#arena(name, pattern).alloc(Type, length);
  }

  /** Take back every array of `alloc`: none may be used again. @param {string} name @param {{pattern?: string}} [options] */
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

  /**
   * What is chosen for a call, and why.
   * @param {string} name @param {{size: number, pattern?: string, copied?: boolean}} call
   */
  explain(name, { size, pattern, copied = false }) {
    const patterns = this.#patterns(name);
    const resident = pattern ?? Object.keys(patterns)[0];
    const rows = (copied && patterns[`${resident}+copied`]) || patterns[resident];
    if (!rows) throw new Error(`Fleetune: ${name} has no decisions for ${resident}`);
    const log2 = Math.log2(Math.max(size, 1));
    let row = rows.reduce((/** @type {any} */ best, /** @type {any} */ next) =>
      Math.abs(next.log2Size - log2) < Math.abs(best.log2Size - log2) ? next : best,
    );
    const problem = this.#loaded.get(keyOf(name, pattern))?.setAside.get(row.choice);
    if (problem) {
      const why = `${row.choice} was chosen but set aside (${problem}), so JavaScript runs.`;
      row = { choice: "js", speedup: 1, source: "default", low: 1, high: 1, why };
    }
    const { choice: variant, speedup, source, low, high, why } = row;
    return { variant, speedup, source, confidence: { low, high }, why };
  }

  /**
   * All decisions for a kernel.
   * @param {string} name @returns {{pattern: string, size: number, choice: string, speedup: number, source: string}[]}
   */
  contexts(name) {
    return Object.entries(this.#patterns(name)).flatMap(([pattern, rows]) =>
      rows.map((/** @type {any} */ { size, choice, speedup, source }) => ({ pattern, size, choice, speedup, source })),
    );
  }

  /** @param {string} name */
  #patterns(name) {
    if (!Object.hasOwn(this.#decisions.kernels, name)) {
      throw new Error(`Fleetune: no kernel ${name}; there are ${this.kernels.join(", ")}`);
    }
    return this.#decisions.kernels[name];
  }

  /** Ask for the newest decisions, follow them, and tell (`model`). @param {number} [announced] version */
  refresh(announced = this.version) {
    return this.#swap(async () => {
      if (!this.#measured) return crowdDecisions(this.server, this.environment, announced);
      // What was measured here stays: Python decides with both.
      const ops = await this.#ops();
      await ops.update();
      return ops.decisions();
    });
  }

  /** Get decisions and follow them, after any swap under way. @param {() => Promise<any>} get */
  #swap(get) {
    const swap = async () => {
      const from = this.version;
      const next = { ...this.#decisions, ...(await get()) };
      this.#decisions = { ...next, kernels: this.#confirm(next.kernels) };
      const loaded = [...this.#loaded].map(([key, kernel]) => kernel.follow(this.#decisions.kernels[nameOf(key)] ?? {}));
      await Promise.all(loaded);
      this.dispatchEvent(new CustomEvent("model", { detail: { from, to: this.version } }));
    };
    const swapping = this.#swapping.then(swap);
    this.#swapping = swapping.catch(() => {}); // its caller hears of it
    return swapping;
  }

  /** Hear of new models. */
  async subscribe() {
    if (this.#unsubscribe) return;
    let closed = false;
    this.#unsubscribe = () => (closed = true);
    const { subscribe } = await import("./socket.js");
    if (closed) return;
    const { close } = subscribe({
      server: this.server,
      version: () => this.version,
      onVersion: (version) => {
        if (version === this.version) return;
        this.refresh(version).catch((error) => this.dispatchEvent(new CustomEvent("failed", { detail: error })));
      },
    });
    this.#unsubscribe = close;
  }

  /** Whether the Python worker runs. */
  get running() {
    return this.#handle?.running ?? false;
  }

  /** The Python worker's operations; it is started when first needed. @returns {Promise<any>} */
  async #ops() {
    this.#python ??= import("./python.js").then(({ pythonFor }) => (this.#handle = pythonFor(this.server, this)));
    return (await this.#python).ops();
  }

  /**
   * Measure on this device and follow that (calls.js). Nothing is sent. Aborting keeps what was measured; before
   * anything was, it fails with the signal's reason.
   * @param {import("./fleetune.d.ts").BenchmarkOptions} [options]
   */
  async benchmark(options = {}) {
    options.signal?.throwIfAborted();
    const { measure } = await import("./calls.js");
    return measure(() => this.#ops(), options, this.server, this.#root, this.#loaded, (confirm) => {
      const earlier = this.#confirm;
      this.#confirm = (tables) => confirm(earlier(tables));
      this.#measured = true;
      return this.refresh();
    });
  }

  /** The packet that `send` would send, or why there is none. */
  async preview() {
    return (await this.#ops()).preview();
  }

  /** Send the packet that `preview` showed; only with consent. */
  async send() {
    return (await this.#ops()).send();
  }

  /** Close the push connection and end the worker. */
  close() {
    this.#unsubscribe?.();
    this.#python?.then((python) => python.close());
  }
}

/** @param {string} name @param {string} [pattern] */
const keyOf = (name, pattern) => `${name}/${pattern ?? ""}`;
/** @param {string} key */
const nameOf = (key) => key.slice(0, key.indexOf("/"));
