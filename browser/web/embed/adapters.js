// @ts-check
/** Implementations for `choose` in the words of the libraries that they come from (EMBED.md). Each gives what its host's own function takes. */

/** @typedef {(...args: any[]) => any} Call */
/** @typedef {import("./fleetune.d.ts").ImplementationOptions<any>} Implementation */

/** A WebAssembly module with a tag section, which engines without exceptions refuse. */
const EXCEPTIONS = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 13, 3, 1, 0, 0);
const isolated = () => globalThis.crossOriginIsolated === true;

/** What each of DuckDB's bundles needs. @type {Record<string, () => boolean>} */
const BUNDLES = { mvp: () => true, eh: () => WebAssembly.validate(EXCEPTIONS), coi: () => isolated() && BUNDLES.eh() };

/** Of DuckDB-style bundles, `{ mvp, eh, coi }`: `load` opens one and gives the function. @template Bundle @param {Record<string, Bundle>} bundles @param {(bundle: Bundle) => any} load @returns {Record<string, Implementation>} */
export function selectBundle(bundles, load) {
  const all = Object.entries(bundles).filter(([, bundle]) => bundle); // DuckDB's lists may name bundles that are not there
  return Object.fromEntries(all.map(([name, params]) => [name, { load, params, supported: BUNDLES[name] }]));
}

/** Whether a provider may work here; those that are not listed always may. @type {Record<string, () => unknown>} */
const PROVIDERS = {
  webgpu: async () => Boolean(await /** @type {any} */ (navigator).gpu?.requestAdapter()),
  webnn: () => "ml" in navigator,
  webgl: () => Boolean(new OffscreenCanvas(1, 1).getContext("webgl2")),
};

/**
 * Of providers in order of preference, as in ONNX Runtime's `executionProviders`: the last one, which runs everywhere, is the reference.
 * @template {string | {readonly name: string}} Provider
 * @param {readonly Provider[]} providers names, or objects with one and options @param {(provider: Provider) => any} load @returns {Record<string, Implementation>}
 */
export function order(providers, load) {
  if (!Array.isArray(providers)) throw new TypeError(`Fleetune: order takes a list of providers, not ${String(providers)}`);
  /** @param {Provider} one @returns {string} */
  const nameOf = (one) => /** @type {any} */ (one).name ?? one;
  return Object.fromEntries([...providers].reverse().map((one) => [nameOf(one), { load, params: one, supported: PROVIDERS[nameOf(one)] }]));
}

/** Numbers of threads: 1, 2, half of the cores and all of them; 1 alone on a page that is not isolated. @param {{max?: number}} options @param {(threads: number) => any} load @returns {Record<string, Implementation>} */
export function threads({ max = Infinity } = {}, load) {
  if (!(typeof max === "number" && max >= 1)) throw new RangeError(`Fleetune: max of threads must be a number from 1 on, not ${String(max)}`);
  const most = isolated() ? Math.floor(Math.min(max, navigator.hardwareConcurrency || 1)) : 1;
  const counts = [...new Set([1, 2, most >> 1, most])].filter((count) => count >= 1 && count <= most).sort((a, b) => a - b);
  return Object.fromEntries(counts.map((count) => [count === 1 ? "1 thread" : `${count} threads`, { load, params: count }]));
}

/** Emscripten's MODULARIZE: its factory, the settings for it, and what of the module is called. @param {(settings?: any) => any} create @param {(module: any) => Call} use @param {object} [settings] @returns {Implementation} */
export const emscripten = (create, use, settings) => ({ async: false, params: String(create) + use, load: async () => use(await create({ ...settings })) });

/** wasm-bindgen's `--target web`: its script, what of it is called, and what its `init` takes. @param {() => Promise<any>} load @param {(module: any) => Call} use @param {any} [input] @returns {Implementation} */
export const wasmBindgen = (load, use, input) => ({
  async: false,
  params: String(load) + use,
  load: async () => {
    const module = await load();
    await module.default(input);
    return use(module);
  },
});

/** AssemblyScript: the loader's `instantiate`, a module and its imports. @param {(source: any, imports?: any) => Promise<any>} instantiate @param {any} source @param {(exports: any) => Call} use @param {object} [imports] @returns {Implementation} */
export const assemblyScript = (instantiate, source, use, imports) => ({
  async: false,
  params: String(use),
  load: async () => use((await instantiate(source, imports)).exports),
});

/** A kernel of a Fleetune server, as one implementation among others. @param {{kernel: (name: string, options?: any) => Promise<any>}} tuner of `connect` @param {string} name @param {object} [options] @returns {Implementation} */
export const kernel = (tuner, name, options) => ({ async: false, params: { name, ...options }, load: () => tuner.kernel(name, options) });
