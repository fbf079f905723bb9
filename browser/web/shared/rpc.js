// @ts-check
/** Calls between a page and its workers: `connectWorker` on the caller's side, `serve` in the worker. */
/** @import { Answer, Argument, Remote } from "./operations" @import { Order, Reply, Request } from "./protocol" */
import { nest, NestedWorker } from "./nested.js";
import { ALIVE, errorData, isEvent, NEST, READY, RemoteError, TimeoutError, UnreachableError, WORKER_NAME, WorkerError } from "./protocol.js";
import { scriptUrl } from "./script_url.js";

/** @typedef {{resolve: (value: unknown) => void, reject: (error: Error) => void}} Waiting */

const here = import.meta.url; // bundlers take `new URL(…, import.meta.url)` for a file
const ALIVE_MS = 5_000;
/** A watched worker ends after this many silent intervals. They are counted, because on a machine that slept every timer is due at once. */
const LOOKS = 6;

/**
 * A worker as its starter sees it. `ops` has a method for each operation that the worker announced, and every event of
 * the worker is dispatched here as a CustomEvent.
 * @template Operations
 */
export class RemoteWorker extends EventTarget {
  /** @type {Remote<Operations>} */
  ops = /** @type {Remote<Operations>} */ ({});
  /** Resolves with the reason once the worker has ended. @type {Promise<Error>} */
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

  /** @param {Worker | NestedWorker} worker @param {(name: string, detail: unknown) => void} [onEvent] */
  constructor(worker, onEvent) {
    super();
    this.#worker = worker;
    this.#close = () => {};
    this.closed = new Promise((resolve) => (this.#close = resolve));
    worker.onmessage = (/** @type {MessageEvent<unknown>} */ { data }) => {
      this.#looks = 0;
      if (!isEvent(data)) return this.#settle(/** @type {Reply} */ (data));
      if (data.event === ALIVE) return;
      if (data.event === NEST) return nest(/** @type {Order} */ (data.data), startWorker, this.closed);
      if (data.event === READY) this.#announce(/** @type {string[]} */ (data.data));
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
   * Call an operation by name. After `timeout` ms without an answer the call fails with TimeoutError. The worker goes on:
   * only `end` stops a loop that hangs.
   * @template {keyof Operations & string} Name
   * @param {Name} op @param {Argument<Operations[Name]>} args @param {{timeout?: number}} [options]
   * @returns {Promise<Answer<Operations[Name]>>}
   */
  call(op, args, options) {
    return /** @type {Promise<Answer<Operations[Name]>>} */ (this.#ask(op, args, options));
  }

  /** @param {string} op @param {unknown} args @param {{timeout?: number}} [options] @returns {Promise<unknown>} */
  #ask(op, args = {}, { timeout } = {}) {
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
    const ops = names.map((name) => [name, (/** @type {unknown} */ args) => this.#ask(name, args)]);
    this.ops = Object.fromEntries(ops);
  }

  /** @param {Reply} reply */
  #settle(reply) {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(new RemoteError(reply.error));
  }
}

/** Whether the browser states Global Privacy Control here. */
export const seesPrivacyControl = () => "globalPrivacyControl" in navigator && navigator.globalPrivacyControl === true;

/**
 * A module worker. A script of another origin (Fleetune embedded in someone's page) is started through a one-line blob,
 * because a worker must be of the page's own origin. @param {string} href
 */
function startWorker(href) {
  const foreign = new URL(href).origin !== self.origin; // a sandboxed frame's own origin is "null", whatever its address
  const script = foreign ? URL.createObjectURL(new Blob([foreignStart(href)], { type: "text/javascript" })) : href;
  const worker = new Worker(scriptUrl(script), { type: foreign ? "classic" : "module", name: seesPrivacyControl() ? `${WORKER_NAME} gpc` : WORKER_NAME });
  if (foreign) worker.addEventListener("message", () => URL.revokeObjectURL(script), { once: true });
  return worker;
}

/**
 * Start a worker and wait until it has announced its operations. In Fleetune's own workers the page starts it; a worker
 * of the embedding page starts it itself, for its page knows nothing of `nest`.
 * @template Operations
 * @param {string | URL} url
 * @param {{onEvent?: (name: string, detail: unknown) => void, timeout?: number, silence?: number}} [options] in ms: `timeout`
 *   for the start, `silence` between looks at a worker that says `alive`
 * @returns {Promise<RemoteWorker<Operations>>}
 */
export async function connectWorker(url, { onEvent, timeout, silence } = {}) {
  const { href } = new URL(url, here);
  if (typeof Worker !== "function") throw new Error("Fleetune: measuring, predicting and sending need a browser's workers, and there are none here");
  const nested = !self.document && self.name.split(" ")[0] === WORKER_NAME;
  /** @type {RemoteWorker<Operations>} */
  const remote = new RemoteWorker(nested ? new NestedWorker(href) : startWorker(href), onEvent);
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
 * A dynamic import, because content security policies take a static one for a worker (`worker-src`) and this one for a
 * script (`script-src`). In a classic worker, because Chromium starts no module worker from a blob in a sandboxed frame.
 * @param {string} href
 */
const foreignStart = (href) => `import(${JSON.stringify(href)}).catch((e) => setTimeout(() => { throw e; }));`;

/** Send an event to the starter of this worker. @param {string} event @param {unknown} data */
export function emit(event, data) {
  self.postMessage({ event, data });
}

/** Send signs of life from now on, for a starter that watches. */
export function beat() {
  setInterval(() => emit(ALIVE, null), ALIVE_MS);
}

/** Try again once if the worker fell silent: it has ended, and the next call starts another. @template T @param {() => Promise<T>} act */
export async function despiteSilence(act) {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    return act();
  }
}

/**
 * Announce these operations and answer calls to them; errors go back as data. A worker that had the page start this one
 * calls through a port of its own.
 * @template {Record<keyof Operations, (args: never) => unknown>} Operations
 * @param {Operations} ops @param {Window | MessagePort} [caller]
 */
export function serve(ops, caller = self) {
  caller.onmessage = async ({ data }) => {
    if (data.port) return serve(ops, data.port);
    const { id, op, args } = /** @type {Request} */ (data);
    try {
      if (!Object.hasOwn(ops, op)) throw new Error(`there is no operation ${op}`);
      const operation = ops[/** @type {keyof Operations} */ (op)];
      caller.postMessage({ id, ok: true, value: await operation(/** @type {never} */ (args)) });
    } catch (error) {
      caller.postMessage({ id, ok: false, error: errorData(error) });
    }
  };
  caller.postMessage({ event: READY, data: Object.keys(ops) });
}

/** End a worker that cannot start: `connectWorker` fails with this error. @param {unknown} error */
export function refuse(error) {
  setTimeout(() => {
    throw error; // reaches the starter as the worker's error event
  });
}
