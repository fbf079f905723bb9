/** Types of fleetune.js; see EMBED.md. */

export interface ConnectOptions {
  /** The Fleetune server's address. Needed only if this file did not come from it (npm). */
  server?: string | URL;
  /** Hear of new models over a WebSocket and follow them at once. Default: false, no connection. */
  push?: boolean;
  /** WebAssembly memory of each kernel, in bytes, 1 GiB at most: half for `alloc`, half for copies. Default: 16 MiB. */
  memoryBytes?: number;
  /** Ask for the decisions of all kernels at once, so that `explain` and `contexts` know those that are not loaded. Default: false, each kernel's when it is loaded. */
  all?: boolean;
  /** What the server answers at `roots/newest`, kept with your page: then decisions and kernels that these keys, or those that follow from them, have not signed are refused. */
  keys?: Keys;
}

/** Why a server's answer was refused: `code` of the error with which `connect` or `kernel` fails; see EMBED.md. */
export type Refusal = "hash" | "signature" | "unsigned" | "expired" | "rollback" | "mixed" | "root-form" | "root-keys" | "root-skipped" | "root-rollback";

/** A server's public keys, signed; a later one is signed by the one before. */
export interface Keys {
  signed: { type: string; version: number; keys: Record<string, string>; threshold: number; least: number; expires: number };
  signatures: Record<string, string>;
}

export interface Environment {
  browser: "chromium" | "firefox" | "webkit" | "other";
  version: number;
  os: "windows" | "macos" | "linux" | "android" | "ios" | "other";
  simd: boolean;
  relaxedSimd: boolean;
  threads: boolean;
  cores: "1" | "2-3" | "4-7" | "8-15" | "16+";
  /** The processor's family; absent if the browser does not show it. */
  arch?: "x86" | "arm";
}

export type Source = "measured" | "personal" | "predicted" | "default";

export interface Explanation {
  /** A variant's name, `js` or `js-tuned`. */
  variant: string;
  /** A module on arrays of `alloc`, a module on copies, or JavaScript. */
  way: "resident" | "copied" | "javascript";
  /** Expected speed, as a multiple of plain JavaScript's. */
  speedup: number;
  source: Source;
  /** Bounds of the speedup, 90 %. */
  confidence: { low: number; high: number };
  /** One plain sentence. */
  why: string;
  /** What is proved of the catalogue's module that runs: the verdict, the sizes it holds for, what it assumes. */
  proof?: string;
}

export interface ExplainOptions extends PatternOptions {
  /** Elements; without it, the last call is explained. */
  size?: number;
  /** Of ordinary arrays. Default: whether the page has no array of `alloc` yet. */
  copied?: boolean;
}

export interface SendOptions {
  /** Language of the dialog, `en` or `ru`; default: the page's. */
  lang?: string;
  /** The packet's text, if your page has shown it to the visitor: then no dialog opens. */
  shown?: string;
}

export interface BenchmarkOptions {
  /** For measuring; starting Python comes on top. Default: 2000. */
  budgetMs?: number;
  /** Default: all of the server's kernels. */
  kernels?: string[];
  /** Aborting keeps what was measured; before anything was, the call fails with the signal's reason. */
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

export type ConsentState = "on" | "off" | "undecided" | "gpc" | "revised" | "malformed" | "unknown";

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
  /** Keep what the visitor chose in a question of your own. "on" rejects unless they have just clicked; show the same terms. */
  record(choice: "on" | "off", strict?: boolean): Promise<ConsentAnswer>;
  /** Off at once; what was sent and not yet aggregated is removed. */
  withdraw(): Promise<{ removed: number; late: number }>;
}

export type NumberArray = Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array;

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

/** What a tuner's events (all CustomEvent) have as their `detail`. */
export interface TunerEvents {
  /** Decisions have changed: the versions of the models behind them. */
  model: { from: number; to: number };
  /** A candidate is not used any more. */
  setaside: { kernel: string; candidate: string; reason: string };
  /** Of a connection or refresh that push began. */
  failed: Error;
  /** Python starts, for a benchmark. */
  boot: { stage: string };
  progress: { done: number; total: number; kernel: string; size: number; pattern: string; copied: boolean; secondsLeft: number };
  /** One context was measured. */
  result: object;
  /** Python ended; it starts again when it is needed. */
  crash: Error;
}

export class Tuner extends EventTarget {
  private constructor();
  addEventListener<Name extends keyof TunerEvents>(type: Name, listener: (event: CustomEvent<TunerEvents[Name]>) => unknown, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
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
  /** Which candidate makes calls of a size, and why; without a size, which made the last call. */
  explain(name: string, call?: ExplainOptions): Explanation;
  /** Everything that is decided for a kernel, context by context. */
  contexts(name: string): { pattern: string; size: number; choice: string; speedup: number; source: string }[];
  /** Ask for the newest decisions and follow them. */
  refresh(): Promise<void>;
  /** Hear of new models from now on, as `connect({ push: true })` does. */
  subscribe(): Promise<void>;
  /** Measure on this device and follow what was measured. Nothing is sent. */
  benchmark(options?: BenchmarkOptions): Promise<BenchmarkOutcome>;
  /** The exact packet that `send` would send, or why there is none; `kept` if it was tried before and waits. */
  preview(): Promise<{ packet: object | null; text: string | null; kept: boolean; reason: { code: string; message: string } | null; fields: object[] }>;
  /** Show the visitor the packet in a dialog and send it once they press Send; undefined if they do not, an error without consent. */
  send(options?: SendOptions): Promise<{ ok: boolean; status: number; body: string } | undefined>;
  /** Close the push connection and end the worker. */
  close(): void;
}

export function connect(options?: ConnectOptions): Promise<Tuner>;

/** A function of any kind: its result is compared with the reference's. */
export type Implementation<Call> = Call | ImplementationOptions<Call>;

export interface ImplementationOptions<Call = (...args: any[]) => any> {
  /** Gives the function; called when the page is idle, or at once if it won before. The first implementation's: at once, or when it is needed if another won before and calls give promises. */
  load(params: any): Call | Promise<Call>;
  /** Whether it can run here. */
  supported?(): unknown;
  /** What loading downloads, if you know it: an implementation that cannot pay back is not loaded. */
  bytes?: number;
  /** Settings of this implementation, given to `load`. */
  params?: unknown;
  /** Changes when the implementation does. Default: derived from its text, and from its params as far as they are JSON. */
  version?: string;
  /** Whether its calls give promises. Default: true for those with `load`, else found out. */
  async?: boolean;
  /** Let it go. */
  dispose?(call: Call): unknown;
}

export interface ChooseOptions<Call extends (...args: any[]) => any = (...args: any[]) => any> {
  /** Of one call. Default: the first argument's length. */
  size?(...args: Parameters<Call>): number;
  /** That are measured; between them times are interpolated. */
  sizes?: readonly number[];
  /** Arguments of that size: one, or an array of them. `random` gives numbers in [0, 1). */
  input?(size: number, random: () => number, pattern: string): any;
  /** Whether two results are alike. Default: equal all the way down. The arguments are there for functions that write into them. */
  same?(reference: any, other: any, argsOfReference: any[], argsOfOther: any[]): unknown;
  /** Which kind of data a call has, one of `patterns`. */
  pattern?(...args: Parameters<Call>): string;
  patterns?: readonly string[];
  /** What one visit does with it: decides whether a download pays back. */
  expect?: { calls: number };
  /**
   * `idle`: when the page is idle (default, if there is `input`). `calls`: from copies of the page's own calls, for 2 % of the time that
   * they take. `never`: only when `measure()` is called.
   */
  measure?: "idle" | "calls" | "never";
  /** Address of the module that makes this very choice, mostly `import.meta.url`: measured in a worker, or in the page if none starts. */
  worker?: string | URL;
  /** Of one measuring, ms, above 0. Default: 2000. */
  budgetMs?: number;
  /** Whether the choice gives promises. Default: if any implementation does. */
  async?: boolean;
  /** Changes when all that was kept shall be forgotten. */
  version?: string;
  /** A Fleetune server where the job is registered with the same description (`fleetune jobs add`): its first guess is followed until this browser has measured. Everything works without it. */
  server?: string | URL;
  /** That server's, as in `connect`. */
  keys?: Keys;
}

/** `guessed`: by a server, from other browsers; then times are relative to the reference's. */
export type Verdict = "changed" | "unchanged" | "unsure" | "guessed";

export interface ChoiceContext {
  pattern: string;
  size: number;
  choice: string;
  verdict: Verdict;
  /** implementation → ms a call */
  times: Record<string, number>;
}

export interface ChoiceExplanation {
  implementation: string;
  source: "measured" | "predicted" | "default";
  verdict: Verdict;
  times: Record<string, number>;
  /** implementation → why it is not used */
  setAside: Record<string, string>;
  why: string;
}

export interface MeasureOutcome {
  stopped: boolean;
  seconds: number;
  /** Contexts measured. */
  measured: number;
  contexts: ChoiceContext[];
}

/** What the events (CustomEvent) of a choice have as their `detail`. */
export interface ChosenEvents {
  setaside: { job: string; implementation: string; reason: string };
  decided: { job: string; contexts: ChoiceContext[] };
  failed: Error;
}

export interface Chosen extends Pick<EventTarget, "removeEventListener"> {
  addEventListener<Name extends keyof ChosenEvents>(type: Name, listener: (event: CustomEvent<ChosenEvents[Name]>) => unknown, options?: boolean | AddEventListenerOptions): void;
  /** Settles when the first measuring is over. */
  ready: Promise<MeasureOutcome | undefined>;
  /** Measure now. Ends near its budget; aborting keeps what was measured by then. */
  measure(options?: { budgetMs?: number; signal?: AbortSignal }): Promise<MeasureOutcome>;
  explain(call?: { size?: number; pattern?: string }): ChoiceExplanation;
  contexts(): ChoiceContext[];
  /** What a server may know this job by. */
  described(): Described;
  /** Stop measuring; from now on the reference runs. */
  close(): void;
}

export interface Described {
  name: string;
  patterns: string[];
  /** `stated`: the version that the page gave, if it gave one. */
  implementations: { name: string; stated?: string }[];
}

/** Reports about jobs that a server has registered (share.d.ts). */
export interface Sharing {
  readonly consent: Consent;
  /** Hand over what was measured here: how many contexts fit the registered description. Nothing is sent. */
  add(chosen: Pick<Chosen, "contexts" | "described">): Promise<{ taken: number }>;
  preview: Tuner["preview"];
  send: Tuner["send"];
  close(): void;
}

/** The first implementation is the reference and the fallback. */
export function choose<Call extends (...args: any[]) => any>(
  job: string,
  implementations: Record<string, Implementation<Call> | Implementation<any>>,
  options?: ChooseOptions<Call>,
): Promise<Call & Chosen>;
