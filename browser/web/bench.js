// @ts-check
/** The owner of the bench worker: starts it, gives every call a time limit, ends and replaces it when one passes. */
import { connectWorker } from "./rpc.js";

export class Bench {
  /** @type {Awaited<ReturnType<typeof connectWorker>> | undefined} */
  #worker;

  /** @param {any} manifest the answer of `GET /api/kernels` */
  constructor(manifest) {
    this.manifest = manifest;
  }

  /**
   * @param {string} op @param {any} args @param {number} limitMs
   * @returns {Promise<any>} rejects with a TimeoutError when the worker had to be ended
   */
  async call(op, args, limitMs) {
    const worker = await this.#ready();
    /** @type {number | undefined} */
    let timer;
    const timeout = new Promise((_, reject) => {
      timer = setTimeout(() => {
        this.end();
        reject(new DOMException(`no answer within ${Math.round(limitMs)} ms`, "TimeoutError"));
      }, limitMs);
    });
    try {
      return await Promise.race([worker.ops[op](args), timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #ready() {
    if (!this.#worker) {
      const worker = await connectWorker(new URL("./bench_worker.js", import.meta.url));
      worker.closed.then(() => this.#worker === worker && this.end());
      this.#worker = worker;
      this.about = await worker.ops.open({ manifest: this.manifest, root: this.manifest.root });
    }
    return this.#worker;
  }

  /** What the bench worker found when it opened: `{timerStep, isolated}`. */
  async open() {
    await this.#ready();
    return this.about;
  }

  end() {
    this.#worker?.terminate("it was ended after a time limit");
    this.#worker = undefined;
  }
}
