/** Types of fleetune.js; see EMBED.md. */

export interface ConnectOptions {
  /** The Fleetune server's address. Needed only if this file did not come from it (npm). */
  server?: string;
  /** Hear of new models over a WebSocket and follow them at once. Default: false, no connection. */
  push?: boolean;
  /** WebAssembly memory of each kernel, in bytes: half for `alloc`, half for copies. Default: 16 MiB. */
  memoryBytes?: number;
}

export interface Environment {
  browser: "chromium" | "firefox" | "webkit" | "other";
  version: number;
  os: "windows" | "macos" | "linux" | "android" | "ios" | "other";
  simd: boolean;
  relaxedSimd: boolean;
  threads: boolean;
  cores: "1" | "2-3" | "4-7" | "8-15" | "16+";
}

export type Source = "measured" | "personal" | "predicted" | "default";

export interface Explanation {
  /** A variant's name, `js` or `js-tuned`. */
  variant: string;
  /** Expected speed, as a multiple of plain JavaScript's. */
  speedup: number;
  source: Source;
  /** Bounds of the speedup, 90 %. */
  confidence: { low: number; high: number };
  /** One plain sentence. */
  why: string;
}

export interface BenchmarkOptions {
  /** For measuring; starting Python comes on top. Default: 2000. */
  budgetMs?: number;
  /** Default: all of the server's kernels. */
  kernels?: string[];
  signal?: AbortSignal;
}

export interface BenchmarkOutcome {
  stopped: boolean;
  seconds: number;
  results: object[];
  /** kernel → candidate → why it is not used */
  setAside: Record<string, Record<string, string>>;
  skipped: number;
  /** Contexts in which calls were timed as this page makes them. */
  confirmed: number;
}

export type ConsentState = "on" | "off" | "undecided" | "gpc" | "revised";

export interface ConsentAnswer {
  on: boolean;
  state: ConsentState;
  epsilon: number;
  /** To whom packets would go. */
  server: string;
}

export interface Consent {
  /** What holds now. */
  get(): Promise<ConsentAnswer>;
  /** Ask the visitor, in a dialog. */
  request(options?: { lang?: string }): Promise<ConsentAnswer>;
  /** Keep what the visitor chose in a question of your own. Only from their click, with the same terms shown. */
  record(choice: "on" | "off", strict?: boolean): Promise<ConsentAnswer>;
  /** Off at once; what was sent and not yet aggregated is removed. */
  withdraw(): Promise<{ removed: number; late: number }>;
}

export type NumberArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array;

/** Arguments in the order of the kernel's JavaScript; a last argument that is the first array's length may be left out. */
export type Kernel = (...args: (NumberArray | number)[]) => number | undefined;

export interface ArrayType<T> {
  new (buffer: ArrayBuffer, offset: number, length: number): T;
  BYTES_PER_ELEMENT: number;
}

export interface PatternOptions {
  /** The data pattern whose decisions are followed. Default: the kernel's first. */
  pattern?: string;
}

/**
 * Events (all CustomEvent): `model` {from, to}; `setaside` {kernel, candidate, reason}; `failed` an Error of a refresh that
 * push began; and of a benchmark `boot` {stage}, `progress` {done, total, kernel, secondsLeft …}, `result`, `crash`.
 */
export class Tuner extends EventTarget {
  private constructor();
  readonly server: string;
  readonly environment: Environment;
  readonly consent: Consent;
  /** Of the model behind the decisions. */
  readonly version: number;
  /** The names of the server's kernels. */
  readonly kernels: string[];
  /** Whether the Python worker runs. */
  readonly running: boolean;
  /** A synchronous function that calls the best variant for each size. */
  kernel(name: string, options?: PatternOptions): Promise<Kernel>;
  /** A typed array in the memory of a kernel that is loaded: it is taken without copying. */
  alloc<T>(name: string, Type: ArrayType<T>, length: number, options?: PatternOptions): T;
  /** Take back every array that `alloc` gave for this kernel. */
  release(name: string, options?: PatternOptions): void;
  explain(name: string, call: { size: number; pattern?: string; copied?: boolean }): Explanation;
  /** Everything that is decided for a kernel, context by context. */
  contexts(name: string): { pattern: string; size: number; choice: string; speedup: number; source: string }[];
  /** Ask for the newest decisions and follow them. */
  refresh(): Promise<void>;
  /** Hear of new models from now on, as `connect({ push: true })` does. */
  subscribe(): Promise<void>;
  /** Measure on this device and follow what was measured. Nothing is sent. */
  benchmark(options?: BenchmarkOptions): Promise<BenchmarkOutcome>;
  /** The exact packet that `send` would send, or why there is none. */
  preview(): Promise<{ packet: object | null; text: string | null; reason: { code: string; message: string } | null; fields: object[] }>;
  /** Send the packet that was previewed; refused without consent. */
  send(): Promise<{ ok: boolean; status: number; body: string }>;
  /** Close the push connection and end the worker. */
  close(): void;
}

export function connect(options?: ConnectOptions): Promise<Tuner>;
