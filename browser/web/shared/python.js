// @ts-check
/** The page's handle on the Python worker: started when first needed, started again after a crash. */
/** @import { PythonEvents, PythonOperations, Remote } from "./operations" */
import { connectWorker } from "./rpc.js";
import { rolloutBucket } from "./socket.js";
import { storageOf } from "./storage.js";

const SILENCE_MS = 15_000; // starting Python and numpy blocks the worker for some seconds
const here = import.meta.url; // bundlers take `new URL(…, import.meta.url)` for a file

/** @typedef {import("./rpc.js").RemoteWorker<PythonOperations>} Worker */

/** One worker for the whole page. Its events are raised here, so listeners outlive a crash. */
export class Python extends EventTarget {
  /** @type {Promise<Worker> | undefined} */
  #starting;
  /** @type {Worker | undefined} */
  #worker;
  #script;
  #storage;

  /** @param {string | URL} [script] the worker's; it finds its server from its own address */
  constructor(script = new URL("../workers/python_worker.js", here), storage = storageOf()) {
    super();
    this.#script = script;
    this.#storage = storage;
  }

  get running() {
    return this.#worker !== undefined;
  }

  /**
   * Listen to an event of the worker, or to `updated` and `crash`.
   * @template {keyof PythonEvents} Name @param {Name} name @param {(detail: PythonEvents[Name]) => void} listener
   */
  on(name, listener) {
    this.addEventListener(name, (event) => listener(/** @type {CustomEvent<PythonEvents[Name]>} */ (event).detail));
  }

  /** @param {string} name @param {unknown} detail */
  #raise(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** The worker's operations; the worker is started if need be. @returns {Promise<Remote<PythonOperations>>} */
  async ops() {
    const starting = (this.#starting ??= this.#start());
    try {
      return (await starting).ops;
    } catch (error) {
      if (this.#starting === starting) this.#starting = undefined;
      throw error;
    }
  }

  async #start() {
    /** @type {Worker} */
    const worker = await connectWorker(this.#script, { silence: SILENCE_MS, onEvent: (name, detail) => this.#raise(name, detail) });
    // Where nothing can be stored, the worker gets the page's values.
    const { volatile, mirrors } = this.#storage;
    const write = (/** @type {string} */ key, /** @type {unknown} */ value) => worker.ops.mirror({ key, value });
    await Promise.all([...volatile].map(([key, value]) => write(key, value)));
    mirrors.add(write);
    worker.closed.then((error) => {
      mirrors.delete(write);
      if (this.#worker !== worker) return; // ended on purpose
      this.#starting = undefined;
      this.#worker = undefined;
      this.#raise("crash", error);
    });
    this.#worker = worker;
    // Predictions and reports need a model. While the server is away, Python uses the last verified one.
    this.#raise("updated", await worker.ops.update({ draw: rolloutBucket }));
    return worker;
  }

  /** End the worker; it starts again when next needed. */
  close() {
    const starting = this.#starting;
    this.#starting = this.#worker = undefined;
    starting?.then((worker) => worker.end(), () => {});
  }
}

/** The Python worker of a page that embeds this server; `page` hears what a benchmark tells. @param {string} server @param {EventTarget} page */
export function pythonFor(server, page) {
  const python = new Python(`${server}static/workers/python_worker.js`, storageOf(server));
  for (const name of /** @type {(keyof PythonEvents)[]} */ (["boot", "progress", "result", "crash"])) {
    python.on(name, (detail) => page.dispatchEvent(new CustomEvent(name, { detail })));
  }
  return python;
}
