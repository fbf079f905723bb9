/** What the server answers, and what the catalogue's files hold. Python's side: fleetune/manifest.py, fleetune/decision.py, server/fleetune_server/http/. */
import type { Environment, Source } from "../embed/fleetune.d.ts";
import type { Field } from "./operations.d.ts";

export type { Environment, Source };
export type Feature = "simd" | "relaxedSimd" | "threads";
export type Direction = "in" | "out" | "inout" | "scratch";

/** An argument or result of a kernel: a typed array or a number. */
export type TypedArray = Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array;
export type Value = TypedArray | number;
export type Returned = number | bigint | undefined;
export type KernelCall = (...args: Value[]) => Returned;

/* The catalogue: GET /api/kernels */

export interface FileEntry {
  path: string;
  sha256: string;
  size: number; // bytes
}

export interface Tolerance {
  relative: number;
  absolute: number;
}

/** What calling a module needs. */
export interface Variant {
  name: string;
  features: Feature[];
  integrity?: string; // of the module by itself, in `embed/<name>.json`; as `fetch` takes it
  proof?: string; // a verdict and N, such as `E64`; in `embed/<name>.json` in words (fleetune/proof.py)
  /** Kernels of an operator's own: the export that is called, or the script's adapter that calls it. */
  export?: string;
  adapter?: string;
}

/** As the whole manifest has it. */
export interface BundledVariant extends Variant {
  optimisations: string[];
  bundle: string;
  offset: number; // bytes into the bundle
  size: number; // bytes
}

/** How a module that brings its own memory takes arrays. */
export interface OwnMemory {
  export: string;
  arrays: boolean;
  allocator: string | null;
  scratch: number | null;
}

/** One kernel of the catalogue; `GET embed/<name>.json` gives the same. */
export interface KernelEntry<V extends Variant = Variant> {
  name: string;
  family: string;
  summary: string;
  dtype: string;
  params: { name: string; type: string; dir?: Direction }[];
  returns: string | null;
  sizes: number[]; // elements, ascending
  patterns: string[];
  copied: boolean;
  resident?: boolean;
  tolerance: Tolerance;
  dataEnd: number; // first byte of memory that no module uses
  pages?: { least: number; most?: number; grows?: boolean }; // of 64 KiB, that its modules ask for; whether one may grow it
  baselines: string[];
  variants: V[];
  own?: boolean;
  memory?: OwnMemory | null;
  script?: FileEntry;
  source?: FileEntry; // of an operator's own kernel: the script as it was given
}

export interface Manifest {
  schema: number;
  root: string; // where its files are
  bundles: Record<string, FileEntry & { features: Feature[] }>;
  scripts: FileEntry;
  kernels: KernelEntry<BundledVariant>[];
}

/** The arguments of one call of a timing loop: what is restored, copied in and copied out around it. */
export interface InputSet {
  args: Value[];
  resets: [TypedArray, TypedArray][];
  inputs: [TypedArray, TypedArray][];
  outputs: [TypedArray, TypedArray][];
}

export type Loop = (call: KernelCall, sets: InputSet[], iterations: number) => number;
export type MakeInput = (size: number, pattern: string, random: () => number) => Value[];
export type Adapters = Record<string, (exports: WebAssembly.Exports, memory: WebAssembly.Memory | undefined) => KernelCall>;

/** A kernel of `kernels.js`. */
export interface BenchScript {
  js: KernelCall;
  jsTuned?: KernelCall;
  makeInput: MakeInput;
  loops: Record<"resident" | "copied", Record<string, Loop>>;
  adapters?: Adapters;
}

/** Where a variant's call finds memory. */
export interface CallArena {
  buffer: ArrayBuffer;
  base: number; // where arguments may begin
  scratch: number; // where copies begin
  end: number;
  heaps: Record<string, TypedArray>;
  marks: Record<string, object>; // what `alloc` marks arrays with, by element type
  reach(to: number): boolean; // whether copies may reach up to there
}

/** What a variant's call does when its module cannot make it; the arguments are as they were. */
export interface CallHooks {
  large: KernelCall;
  repeated: KernelCall;
  failed(error: unknown, ...args: Value[]): Returned;
}

/** What `explain` hears of a call that JavaScript made in a module's place. */
export interface CallNote {
  size: number;
  inside: boolean;
  variant: string;
  why: string;
}

/** A candidate's call; `resident` takes only arrays of `alloc`. */
export type BoundCall = KernelCall & { resident?: KernelCall };

/** The module `embed/<kernel>.js` (kernels_wasm/build/dispatcher.py). */
export interface EmbedScript {
  makeInput: MakeInput;
  baselines: Record<string, KernelCall>;
  bind: Record<string, (run: KernelCall, arena: CallArena, hooks: CallHooks, outside?: KernelCall) => BoundCall>;
  adapters?: Adapters;
  sites: number;
  placed(arena: CallArena, inside: KernelCall, outside?: KernelCall): BoundCall;
  dispatcher(wake: (size: number) => void, arena: CallArena, rules: object): {
    call: KernelCall;
    last(): number | CallNote | undefined;
    tell(note: CallNote): void;
    follow(awake: number): void;
    fill(to: number[], calls: (BoundCall | undefined)[]): void;
  };
}

/* Decisions: GET /api/decisions/<engine>, and the operation `decisions` */

export interface Decision {
  size: number; // elements
  log2Size: number;
  choice: string;
  speedup: number; // of the choice, over JavaScript
  low: number;
  high: number;
  source: Source | "only";
  why?: string;
  candidates: Record<string, number>; // expected speedups
}

/** By kernel, then by pattern; `+copied` marks contexts whose arrays are copied on every call. */
export type DecisionTables<Row extends Decision = Decision> = Record<string, Record<string, Row[]>>;

export interface Decisions<Row extends Decision = Decision> {
  version: number;
  root: string;
  kernels: DecisionTables<Row>;
}

/** One engine's answer: rows for all, and for each kind of browser the rows that differ. */
export interface EngineDecisions extends Decisions {
  kinds: Record<string, [kernel: string, pattern: string, index: number, row: Decision][]>;
}

/** The same as it is signed: the last field of its text, `signature`, is about all before it. */
export interface Sealed extends EngineDecisions {
  type: string;
  engine: string;
  /** What a page calls these kernels with: integrity by path below `root`, scripts in the order of their imports. */
  files: Record<string, string>;
  keys: number; // of the root that names the keys
  expires: number; // Unix seconds
}

/** How a page takes what a server's keys have signed (trust.js). */
export interface Way {
  /** An engine's decisions. @param kept the cache stands in for an absent server */
  read(url: string, kept?: boolean): Promise<EngineDecisions>;
  /** A kernel's entry and script. @param asked resolves when its decisions were read @param plain takes them from a server that signs nothing */
  kernel(name: string, asked: Promise<void>, plain: () => Promise<unknown[]>): Promise<unknown[]>;
  /** Before Python starts, which follows the same keys. */
  remember(): Promise<void>;
}

/* GET /roots/newest */

/** Whose signatures count (fleetune/root.py). */
export interface RootDocument {
  signed: { type: string; version: number; keys: Record<string, string>; threshold: number; least: number; expires: number };
  signatures: Record<string, string>;
}

/* GET /api/privacy.json */

/** What a packet holds; `samples` by ε, the bytes of one with made-up values. */
export interface PrivacyNotes {
  fields: Field[];
  samples: Record<string, string>;
}

/* GET parts.json beside the scripts, /api/boot.json and /api/model/latest */

export interface Parts {
  wheel: string;
  translator: string; // a wheel, for `/functions/new`
  pyodide: string;
  /** Pyodide's files that are not scripts, by path; in `parts.json` only. */
  files?: Record<string, RuntimeFile>;
}

export interface RuntimeFile {
  sha256: string;
  bytes: number;
}

export interface Boot extends Parts {
  keys: Record<string, string>;
  policyRevision: number;
  privacySignal: boolean;
  /** What a first measurement fetches, as sent to this browser. */
  measuringBytes: number;
  version: string;
}

export interface LatestModel {
  version: number;
  upToDate: boolean;
  metadata?: ModelMetadata;
}

/** Figures of a model by name, `accuracy` …; they describe lab contexts that it has not seen. */
export interface ModelMetrics {
  intervals?: Record<string, [number, number]>;
  reports?: { count: number; mae?: number; maeLow?: number; maeHigh?: number };
  [name: string]: unknown;
}

export interface ModelMetadata {
  trainedOn: { labRows: number; reports: number; cells: number };
  metrics: ModelMetrics;
}

/* GET /api/metrics */

export interface Trial {
  stable: number;
  share: number;
  began: number; // Unix seconds
  state: string;
  reason?: string;
}

export interface Version {
  version: number;
  created: number; // Unix seconds
  size: number; // bytes
  metadata: ModelMetadata;
  gate: string[];
  trial: Trial | null;
}

/** A figure with its interval; null where there are too few to say. */
export interface Share {
  share: number | null;
  low: number | null;
  high: number | null;
}

export interface Simulation {
  command: string;
  date: string;
  cells: number;
  parameters: { epsilon: number; seed: number };
  curve: Record<string, number>[];
}

export interface Metrics {
  version: number;
  versions: Version[];
  hours: { at: number; reports: number; version: number }[];
  learning: { outcome: string; reasons: string[]; fresh: number };
  retrainPackets: number;
  contributors: { count: number; low: number; high: number };
  adoption: Share & { sessions: number };
  satisfaction: Share & { answers: number };
  telemetryToModel: { bounds: number[]; counts: number[] };
  simulation: Simulation | null;
  environments: Environment[];
}
