// @ts-check
/** Calls between rooms: `connectWorker` on the caller's side, `serve` on the worker's. */
import { NEST, nest, NestedWorker } from "./nested.js";
import { ALIVE, errorData, isEvent, READY, RemoteError, TimeoutError, UnreachableError, WorkerError } from "./protocol.js";

/** @typedef {import("./protocol.js").Reply} Reply @typedef {import("./protocol.js").Request} Request */
/** @typedef {{resolve: (value: any) => void, reject: (error: Error) => void}} Waiting */

/** @typedef {Record<string, (args?: any) => Promise<any>>} Operations */

const ALIVE_MS = 5_000;
/** So often a worker is looked at in vain, `silence` ms apart. Counted, not timed: a machine that slept wakes with every timer due. */
const LOOKS = 6;

/**
 * One worker as its starter sees it: `ops` has a method per operation that the worker announced, and every event
 * of the worker is dispatched here as a CustomEvent.
 */
export class RemoteWorker extends EventTarget {
  /** @type {Operations} */
  ops = {};
  /** Resolves with the reason once the worker has ended, however it ended. @type {Promise<Error>} */
  closed;
  /** @type {Worker | NestedWorker} */
  #worker;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  /** @type {(reason: Error) => void} */
  #close;
  /** @type {Error | undefined} */
  #ended;
  #lastId = 0;
  #looks = 0;

  /** @param {Worker | NestedWorker} worker @param {(name: string, detail: any) => void} [onEvent] */
  constructor(worker, onEvent) {
    super();
    this.#worker = worker;
    this.#close = () => {};
    this.closed = new Promise((resolve) => (this.#close = resolve));
    worker.onmessage = (/** @type {MessageEvent} */ { data }) => {
      this.#looks = 0;
      if (!isEvent(data)) return this.#settle(data);
      if (data.event === ALIVE) return;
      if (data.event === NEST) return nest(data.data, startWorker, this.closed);
      if (data.event === READY) this.#announce(data.data);
      onEvent?.(data.event, data.data);
      this.dispatchEvent(new CustomEvent(data.event, { detail: data.data }));
    };
    worker.onerror = (/** @type {ErrorEvent} */ event) => {
      event.preventDefault();
      const where = event.filename ? ` (${event.filename.split("/").pop()}:${event.lineno})` : "";
      this.end(event.message ? new WorkerError(`${event.message}${where}`) : new UnreachableError("its script could not be loaded"));
    };
    worker.onmessageerror = () => this.end(new WorkerError("a message could not be read"));
  }

  /**
   * Call an operation by name. After `timeout` ms without an answer the call fails with TimeoutError; the worker
   * is left as it is: a loop that hangs can only be ended with `end`.
   * @param {string} op @param {any} args @param {{timeout?: number}} [options] @returns {Promise<any>}
   */
  call(op, args = {}, { timeout } = {}) {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer =
        timeout === undefined
          ? undefined
          : setTimeout(() => {
              this.#waiting.delete(id);
              reject(new TimeoutError(`${op}: no answer within ${Math.round(timeout)} ms`));
            }, timeout);
      this.#waiting.set(id, {
        resolve: (value) => (clearTimeout(timer), resolve(value)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
      this.#worker.postMessage({ id, op, args });
    });
  }

  /** End the worker once it gives no sign of life. @param {number} silence ms */
  watch(silence) {
    const timer = setInterval(() => {
      this.#looks += 1;
      if (this.#looks === LOOKS) this.end(new TimeoutError(`the worker gave no sign of life for ${Math.round((LOOKS * silence) / 1000)} s`));
    }, silence);
    this.closed.then(() => clearInterval(timer));
  }

  /** Terminate the worker; calls under way fail with `reason`. @param {Error} [reason] */
  end(reason = new WorkerError("the worker was stopped")) {
    if (this.#ended) return;
    this.#ended = reason;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
    this.#close(reason);
  }

  /** @param {string[]} names */
  #announce(names) {
    this.ops = Object.fromEntries(names.map((name) => [name, (args) => this.call(name, args)]));
  }

  /** @param {Reply} reply */
  #settle(reply) {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(new RemoteError(reply.error));
  }
}

/** The name of workers: extensions state Global Privacy Control to pages alone, so the page passes it on. */
const signal = () => (/** @type {any} */ (navigator).globalPrivacyControl === true ? "gpc" : "");

/**
 * A module worker. A script of another origin (Fleetune embedded in someone's page) is started through a one-line blob,
 * since workers must be of the page's own origin. @param {string} href
 */
function startWorker(href) {
  const foreign = new URL(href).origin !== self.origin; // a sandboxed frame's own origin is "null", whatever its address
  const script = foreign ? URL.createObjectURL(new Blob([foreignStart(href)], { type: "text/javascript" })) : href;
  const worker = new Worker(script, { type: foreign ? "classic" : "module", name: signal() });
  if (foreign) worker.addEventListener("message", () => URL.revokeObjectURL(script), { once: true });
  return worker;
}

/**
 * Start a worker and wait until it has announced its operations. A worker that asks for another has it started by its page.
 * @param {string | URL} url
 * @param {{onEvent?: (name: string, detail: any) => void, timeout?: number, silence?: number}} [options] in ms: `timeout`
 *   for the start, `silence` between looks at a worker that says `alive`
 * @returns {Promise<RemoteWorker>}
 */
export async function connectWorker(url, { onEvent, timeout, silence } = {}) {
  const { href } = new URL(url, import.meta.url);
  const remote = new RemoteWorker(self.document ? startWorker(href) : new NestedWorker(href), onEvent);
  if (silence) remote.watch(silence);
  /** @type {Promise<void>} */
  const ready = new Promise((resolve) => remote.addEventListener(READY, () => resolve(), { once: true }));
  const timer =
    timeout && setTimeout(() => remote.end(new TimeoutError(`${href} did not start within ${timeout} ms`)), timeout);
  const failed = await Promise.race([ready, remote.closed]);
  clearTimeout(timer || undefined);
  if (failed) throw failed;
  return remote;
}

/**
 * Imported dynamically, because policies treat a static import here as another worker (`worker-src`), this one as a
 * script (`script-src`). It runs in a classic worker: Chromium starts no module worker from a blob in a sandboxed frame.
 * @param {string} href
 */
const foreignStart = (href) => `import(${JSON.stringify(href)}).catch((e) => setTimeout(() => { throw e; }));`;

/** Send an event to whoever started this worker. @param {string} event @param {any} data */
export function emit(event, data) {
  self.postMessage({ event, data });
}

/** Say from now on that this worker is alive, for whoever watches it. */
export function beat() {
  setInterval(() => emit(ALIVE, null), ALIVE_MS);
}

/** Once more if the worker fell silent: it has been ended, and the next call starts another. @template T @param {() => Promise<T>} act */
export async function despiteSilence(act) {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    return act();
  }
}

/**
 * Announce these operations and answer calls to them; errors go back as data. Who had another start this worker comes
 * through a port of its own. @param {Record<string, (args: any) => any>} ops @param {Window | MessagePort} [caller]
 */
export function serve(ops, caller = self) {
  caller.onmessage = async ({ data }) => {
    if (data.port) return serve(ops, data.port);
    const { id, op, args } = /** @type {Request} */ (data);
    try {
      if (!Object.hasOwn(ops, op)) throw new Error(`there is no operation ${op}`);
      caller.postMessage({ id, ok: true, value: await ops[op](args) });
    } catch (error) {
      caller.postMessage({ id, ok: false, error: errorData(error) });
    }
  };
  caller.postMessage({ event: READY, data: Object.keys(ops) });
}

/** A worker that cannot start says why and ends; `connectWorker` then fails with this error. @param {unknown} error */
export function refuse(error) {
  setTimeout(() => {
    throw error; // reaches the starter as the worker's error event
  });
}
