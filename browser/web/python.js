// @ts-check
/** The page's handle on the Python worker: started when first needed, started again after a crash. */
import { connectWorker } from "./rpc.js";

/**
 * One worker for the whole page. Events that the worker sends (`progress`, `result`, `model` …) are raised here
 * too, so that listeners outlive a crash.
 */
export class Python extends EventTarget {
  /** @type {Promise<any> | undefined} */
  #starting;
  /** @type {any} */
  #worker;

  get running() {
    return this.#worker !== undefined;
  }

  /** Start it if need be. @returns {Promise<any>} the worker's operations */
  async ops() {
    this.#starting ??= this.#start();
    try {
      return (await this.#starting).ops;
    } catch (error) {
      this.#starting = undefined;
      throw error;
    }
  }

  async #start() {
    const worker = await connectWorker(new URL("./worker.js", import.meta.url), {
      onEvent: (name, detail) => this.dispatchEvent(new CustomEvent(name, { detail })),
    });
    worker.closed.then((/** @type {Error} */ error) => {
      this.#starting = undefined;
      this.#worker = undefined;
      this.dispatchEvent(new CustomEvent("crash", { detail: error }));
    });
    this.#worker = worker;
    return worker;
  }
}
