// @ts-check
/** The page's handle on the Python worker: started when first needed, started again after a crash. */
import { connectWorker } from "./rpc.js";
import { sessionDraw } from "./socket.js";
import { belongTo, mirror } from "./storage.js";

const SILENCE_MS = 15_000; // starting Python and numpy blocks the worker for some seconds

/**
 * One worker for the whole page. Events that the worker sends (`progress`, `result`, `model` …) are raised here
 * too, so that listeners outlive a crash.
 */
export class Python extends EventTarget {
  /** @type {Promise<any> | undefined} */
  #starting;
  /** @type {any} */
  #worker;
  #script;

  /** @param {string | URL} [script] the worker's; it finds its server from its own address */
  constructor(script = new URL("./worker.js", import.meta.url)) {
    super();
    this.#script = script;
  }

  get running() {
    return this.#worker !== undefined;
  }

  /** Start it if need be. @returns {Promise<any>} the worker's operations */
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
    const worker = await connectWorker(this.#script, {
      silence: SILENCE_MS,
      onEvent: (name, detail) => this.dispatchEvent(new CustomEvent(name, { detail })),
    });
    const forget = await mirror((key, value) => worker.ops.mirror({ key, value }));
    worker.closed.then((/** @type {Error} */ error) => {
      forget();
      if (this.#worker !== worker) return; // ended on purpose
      this.#starting = undefined;
      this.#worker = undefined;
      this.dispatchEvent(new CustomEvent("crash", { detail: error }));
    });
    this.#worker = worker;
    // Predictions and reports need a model; where the server is away, the last good one is used.
    const outcome = await worker.ops.update({ draw: sessionDraw });
    this.dispatchEvent(new CustomEvent("updated", { detail: outcome }));
    return worker;
  }

  /** End it; it starts again when next needed. */
  close() {
    const starting = this.#starting;
    this.#starting = this.#worker = undefined;
    starting?.then((worker) => worker.end(), () => {});
  }
}

/** The Python worker of a page that embeds this server; `page` hears what a benchmark tells. @param {string} server @param {EventTarget} page */
export function pythonFor(server, page) {
  belongTo(server);
  const python = new Python(`${server}static/worker.js`);
  for (const name of ["boot", "progress", "result", "crash"]) {
    python.addEventListener(name, (event) => page.dispatchEvent(new CustomEvent(name, { detail: /** @type {CustomEvent} */ (event).detail })));
  }
  return python;
}
