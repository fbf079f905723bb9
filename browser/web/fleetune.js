// @ts-check
/**
 * Fleetune for your own page: the fastest build of a kernel for this browser, by size.
 *
 *     import { connect } from "https://tuner.example/fleetune.js";
 *     const tuner = await connect();
 *     const dot = await tuner.kernel("dot");
 *     const sum = dot(a, b);
 *
 * One cacheable request at `connect`, the modules that are chosen at `kernel`. No Pyodide, no socket and no
 * telemetry until the page asks for them.
 */
import { consentState, readConsent, writeConsent } from "./static/consent.js";
import { detectEnvironment } from "./static/environment.js";
import { Python } from "./static/python.js";
import { subscribe } from "./static/socket.js";
import { TunedKernel } from "./static/tuned_kernel.js";

/** @typedef {import("./fleetune").ConnectOptions} ConnectOptions */

const DEFAULT_MEMORY = 16 * 1024 * 1024;

/** @param {string} url @returns {Promise<any>} */
async function getJson(url) {
  const response = await fetch(url, { credentials: "omit" });
  if (!response.ok) throw new Error(`Fleetune: ${url} answered ${response.status}`);
  return response.json();
}

/**
 * Connect to the Fleetune server that served this module (or `server`).
 * @param {ConnectOptions} [options]
 */
export async function connect(options = {}) {
  const server = new URL(options.server ?? ".", import.meta.url).href;
  const environment = detectEnvironment();
  const query = Object.entries(environment).map(([k, v]) => [k, String(typeof v === "boolean" ? +v : v)]);
  const url = `${server}api/decisions?${new URLSearchParams(query)}`;
  return new Tuner(server, url, environment, options, await getJson(url));
}

export class Tuner extends EventTarget {
  /** @type {Map<string, Promise<TunedKernel>>} */
  #kernels = new Map();
  /** @type {Python | undefined} */
  #python;
  #url;
  #options;
  #decisions;
  #unsubscribe = () => {};

  /** @param {string} server @param {string} url @param {any} environment @param {ConnectOptions} options @param {any} decisions */
  constructor(server, url, environment, options, decisions) {
    super();
    this.server = server;
    this.environment = environment;
    this.#url = url;
    this.#options = options;
    this.#decisions = decisions;
    this.consent = new Consent(this);
    if (options.push) {
      this.#unsubscribe = subscribe({
        server, version: () => this.version, onVersion: () => this.refresh(), onState: () => {},
      });
    }
  }

  /** The model's version behind the decisions. @returns {number} */
  get version() {
    return this.#decisions.version;
  }

  /** The names of the server's kernels. @returns {string[]} */
  get kernels() {
    return Object.keys(this.#decisions.kernels);
  }

  /**
   * A function that calls the best variant for each size. Same arguments as the kernel's JavaScript.
   * @param {string} name @param {{pattern?: string}} [options] which data pattern's decisions to follow
   */
  async kernel(name, { pattern } = {}) {
    const key = `${name}/${pattern ?? ""}`;
    if (!this.#kernels.has(key)) {
      const loading = this.#load(name, pattern);
      this.#kernels.set(key, loading);
      loading.catch(() => this.#kernels.delete(key));
    }
    return (await /** @type {Promise<TunedKernel>} */ (this.#kernels.get(key))).call;
  }

  /** @param {string} name @param {string} [pattern] */
  async #load(name, pattern) {
    const decisions = this.#decisions.kernels[name];
    if (!decisions) throw new Error(`Fleetune: no kernel ${name}; there are ${this.kernels.join(", ")}`);
    const root = new URL(this.#decisions.root, this.server).href;
    const [entry, script] = await Promise.all([getJson(`${root}embed/${name}.json`), import(`${root}embed/${name}.js`)]);
    const chosen = pattern ?? entry.patterns[0];
    if (!entry.patterns.includes(chosen)) throw new Error(`Fleetune: ${name} knows ${entry.patterns.join(", ")}, not ${chosen}`);
    /** @param {string} candidate */
    const load = async (candidate) => {
      const response = await fetch(`${root}embed/${name}/${encodeURIComponent(candidate)}.wasm`, { credentials: "omit" });
      if (!response.ok) throw new Error(`module not served (${response.status})`);
      return WebAssembly.compileStreaming(response);
    };
    const kernel = new TunedKernel(entry, script, this.#options.memoryBytes ?? DEFAULT_MEMORY, load, chosen);
    await kernel.follow(decisions);
    for (const [candidate, reason] of kernel.setAside) {
      this.dispatchEvent(new CustomEvent("setaside", { detail: { kernel: name, candidate, reason } }));
    }
    return kernel;
  }

  /**
   * A typed array in the kernel's own memory, which it takes without copying.
   * @template T
   * @param {string} name a kernel that is loaded
   * @param {{new (buffer: ArrayBuffer, offset: number, length: number): T, BYTES_PER_ELEMENT: number}} Type
   * @param {number} length @param {{pattern?: string}} [options] @returns {Promise<T>}
   */
  async alloc(name, Type, length, { pattern } = {}) {
    await this.kernel(name, { pattern });
    const kernel = await /** @type {Promise<TunedKernel>} */ (this.#kernels.get(`${name}/${pattern ?? ""}`));
    return kernel.arena.alloc(Type, length);
  }

  /**
   * What is chosen for a call, and why.
   * @param {string} name @param {{size: number, pattern?: string, copied?: boolean}} call
   */
  explain(name, { size, pattern, copied = false }) {
    const patterns = this.#decisions.kernels[name];
    if (!patterns) throw new Error(`Fleetune: no kernel ${name}; there are ${this.kernels.join(", ")}`);
    const key = (pattern ?? Object.keys(patterns)[0]) + (copied ? "+copied" : "");
    const log2 = Math.round(Math.log2(Math.max(size, 1)));
    const nearest = patterns[key]?.reduce((/** @type {any} */ best, /** @type {any} */ next) =>
      Math.abs(next.log2Size - log2) < Math.abs(best.log2Size - log2) ? next : best,
    );
    if (!nearest) throw new Error(`Fleetune: ${name} has no decisions for ${key}`);
    const { choice: variant, speedup, source, low, high, why } = nearest;
    return { variant, speedup, source, confidence: { low, high }, why };
  }

  /** Ask for the newest decisions, follow them in every dispatcher, and tell (`model`). */
  async refresh() {
    const from = this.version;
    await this.#follow(await getJson(this.#url));
    this.dispatchEvent(new CustomEvent("model", { detail: { from, to: this.version } }));
  }

  /** @param {any} decisions */
  async #follow(decisions) {
    this.#decisions = { ...this.#decisions, ...decisions };
    for (const [key, loading] of this.#kernels) {
      await (await loading).follow(this.#decisions.kernels[key.slice(0, key.indexOf("/"))]);
    }
  }

  /** The Python worker, started when first needed. */
  python() {
    this.#python ??= new Python();
    return this.#python;
  }

  /**
   * Measure on this device and follow what was measured. Nothing is sent.
   * @param {{budgetMs?: number, kernels?: string[], signal?: AbortSignal}} [options]
   */
  async benchmark({ budgetMs = 2000, kernels, signal } = {}) {
    const ops = await this.python().ops();
    signal?.throwIfAborted();
    signal?.addEventListener("abort", () => ops.stop(), { once: true });
    const outcome = await ops.benchmark({ budgetMs, kernels });
    await this.#follow(await ops.decisions());
    return outcome;
  }

  /** Close the push connection and end the worker. */
  close() {
    this.#unsubscribe();
    this.#python?.close();
  }
}

/** Consent for this page's origin; the packets would go to `tuner.server`. */
class Consent {
  /** @param {Tuner} tuner */
  constructor(tuner) {
    this.tuner = tuner;
  }

  async #revision() {
    return (await getJson(`${this.tuner.server}api/boot.json`)).policyRevision;
  }

  async get() {
    const record = await readConsent();
    return record ? consentState(record, await this.#revision()) : consentState(undefined, 0);
  }

  /** Record what the visitor chose in the page's own words; call it from their click, never by yourself. @param {{strict?: boolean}} [terms] */
  async request({ strict = false } = {}) {
    const revision = await this.#revision();
    return consentState(await writeConsent("on", { revision, strict }), revision);
  }

  /** Telemetry off at once, and what was sent and not yet aggregated removed. */
  async withdraw() {
    await writeConsent("off", { revision: await this.#revision(), strict: false });
    return (await this.tuner.python().ops()).withdraw();
  }
}
