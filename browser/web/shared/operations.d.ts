/** The operations of each worker and the events it sends: what crosses through rpc.js. */
import type { Decision, DecisionTables, KernelEntry, Manifest } from "./wire.d.ts";

/** What an operation answers. */
export type Answer<Operation> = Operation extends (...args: never) => infer Value ? Awaited<Value> : never;

/** The operations of a worker as its starter calls them. */
export type Remote<Operations> = {
  [Name in keyof Operations]: Operations[Name] extends (...args: infer Args) => unknown ? (...args: Args) => Promise<Answer<Operations[Name]>> : never;
};

/** The one argument of an operation, JSON or bytes. */
export type Argument<Operation> = Operation extends (args: infer Args) => unknown ? Args : never;

/* The Python worker (fleetune/app/handlers.py) */

export interface Context {
  log2Size: number;
  dtype: string;
  pattern: string;
}

/** A candidate in one measured context. */
export type TimedCandidate =
  | { ok: true; speedup: number; spread: number; ms: number; low: number; high: number; batches: number; predicted: number | null }
  | { ok: false; error: string; predicted: number | null };

export interface Result {
  kernel: string;
  context: Context;
  size: number;
  pattern: string;
  copied: boolean;
  candidates: Record<string, TimedCandidate>;
  noisy: boolean;
  choice: string;
  source: Decision["source"];
  why: string;
  first: string;
  heuristic: string;
  headline: boolean;
}

export interface BenchmarkOutcome {
  stopped: boolean;
  seconds: number;
  results: Result[];
  setAside: Record<string, Record<string, string>>;
  skipped: number;
}

export interface UpdateOutcome {
  status: "updated" | "current" | "kept";
  version: number;
  from: number;
  updateType?: string;
  bytes?: number;
  reason?: string; // a stable code; `root-…`: the server's keys are not those that are remembered
  error?: string;
}

export interface Budget {
  spent: number;
  cap: number;
  today: number;
  perDay: number;
  nextDay: number;
}

/** One field of a packet, explained in every language. */
export interface Field {
  name: string;
  example: string;
  cover: string;
  what: Record<string, string>;
  why: Record<string, string>;
}

/** The packet that would be sent, to the last byte, or why there is none. */
export type Preview =
  | { packet: { privacy: { epsilon: number } }; text: string; kept: boolean; reason: null; fields: Field[] }
  | { packet: null; text: null; kept: false; reason: { code: string; message: string }; fields: Field[] };

export interface SentReport {
  nonce: string;
  day: string;
  kernel: string;
  candidate: string;
  value: number;
  epsilon: number;
  state: string;
  text: string;
}

export interface SentAnswer {
  nonce: string;
  day: string;
  good: boolean;
  state: string;
  text: string;
}

export interface LocalDecision extends Decision {
  default: string;
  measured: Record<string, number>;
}

export interface PythonOperations {
  benchmark(args: { budgetMs?: number; kernels?: string[]; headline?: boolean }): BenchmarkOutcome;
  stop(): boolean;
  pause(): boolean;
  resume(): boolean;
  decisions(): { version: number; kernels: DecisionTables<LocalDecision> };
  update(args?: { draw?: number }): UpdateOutcome;
  /** What choose() timed, ms a call; the reference is called `js`. */
  timed_job(args: { job: string; signature: string; cells: { pattern: string; size: number; times: Record<string, number> }[] }): { taken: number };
  preview(): Preview;
  send(): { ok: boolean; status: number; body: string };
  history(): { sent: SentReport[]; budget: Budget };
  withdraw(): { removed: number; late: number };
  satisfaction(args: { good: boolean }): { ok: true; budget: Budget; text: string };
  /** In JavaScript: a value that the page keeps where nothing can be stored. */
  mirror(args: { key: string; value: unknown }): Promise<void>;
}

export interface PythonEvents {
  boot: { stage: string };
  progress: { done: number; total: number; kernel: string; size: number; pattern: string; copied: boolean; secondsLeft: number };
  result: Result;
  setAside: { kernel: string; candidate: string; reason: string };
  model: UpdateOutcome;
  updated: UpdateOutcome;
  crash: Error;
  /** A value that the page shows changed in the worker's store. */
  stored: { key: string; value: unknown };
  log: { level: string; text: string };
}

/* The workers of `/functions/new` (translate_worker.js, function_worker.js) */

/** What is wrong with a source, or what it became (kernels_wasm/translate/module.py). */
export interface Translated {
  problems: string[]; // "line 3, column 5: what is wrong; what to do"
  name: string;
  script: string;
  runnable: string; // an expression of JavaScript
  sizes: number[];
  pattern: string;
}

export interface TranslateOperations {
  translate(args: { source: string }): Translated;
}

export interface FunctionOperations {
  /** ms a call by candidate, `js` and perhaps `jsTuned`. */
  time(args: { size: number; pattern: string }): Promise<Record<string, number>>;
  sink(): number;
}

/* The bench worker (bench_worker.js) */

export interface BenchOperations {
  open(args: { manifest: Manifest; root: string }): Promise<{ clockStep: number; isolated: boolean }>;
  load(args: { kernel: string; size: number; pattern: string; copied: boolean; seed: number; candidates: string[] }): Promise<{
    failed: Record<string, string>;
    sets: number;
    referenceMs: number;
    memory: number;
  }>;
  check(args: { candidate: string }): { ok: boolean; error: string | null };
  run(args: { order: [candidate: string, iterations: number][] }): Promise<number[]>;
  /** The sum of all results: because it can be asked for, no engine may skip a call. */
  sink(): number;
}

/* The calls worker (calls_worker.js) */

/** One context of one kernel, as a page calls it. */
export interface CallsCell {
  entry: KernelEntry;
  root: string;
  pattern: string;
  size: number;
  copied: boolean;
  candidates: string[];
  settled: boolean;
  /** The time that is left for it. */
  budgetMs: number;
}

/** ms a call. */
export interface CallTimes {
  fast: number;
  median: number;
}

export interface CallsOperations {
  open(args: { dataEnd: number; pages: { least: number }; memoryBytes: number }): void;
  time(args: CallsCell): Promise<Record<string, CallTimes>>;
  /** As in the bench worker. */
  sink(): number;
}
