/** Types of adapters.js; see EMBED.md. */
import type { ImplementationOptions } from "./fleetune.js";

type Call = (...args: any[]) => any;
type All = Record<string, ImplementationOptions<any>>;

/** DuckDB-style bundles: `load` opens one of them and gives the function. */
export function selectBundle<Bundle>(bundles: Record<string, Bundle | undefined>, load: (bundle: Bundle) => Call | Promise<Call>): All;
/** Providers in order of preference, names or objects with one; the last one is the reference. */
export function order<Provider extends string | { readonly name: string }>(providers: readonly Provider[], load: (provider: Provider) => Call | Promise<Call>): All;
/** Numbers of threads: 1, 2, half of them and all, as far as the page is isolated. */
export function threads(options: { max?: number } | undefined, load: (threads: number) => Call | Promise<Call>): All;
/** Emscripten's MODULARIZE. */
export function emscripten(create: (settings?: any) => any, use: (module: any) => Call, settings?: object): ImplementationOptions<any>;
/** wasm-bindgen's `--target web`; `input` is what its `init` takes. */
export function wasmBindgen(load: () => Promise<any>, use: (module: any) => Call, input?: any): ImplementationOptions<any>;
/** AssemblyScript's loader. */
export function assemblyScript(instantiate: (source: any, imports?: any) => Promise<any>, source: any, use: (exports: any) => Call, imports?: object): ImplementationOptions<any>;
/** A kernel of a Fleetune server. */
export function kernel(tuner: { kernel(name: string, options?: any): Promise<any> }, name: string, options?: object): ImplementationOptions<any>;
