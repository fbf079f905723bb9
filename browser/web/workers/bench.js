// @ts-check
/** The owner of the bench worker: starts it when first needed, limits every call, ends it when one takes too long. */
/** @import { Answer, Argument, BenchOperations } from "../shared/operations" @import { Manifest } from "../shared/wire" */
/** @import { RemoteWorker } from "../shared/rpc" */
import { TimeoutError } from "../shared/protocol.js";
import { connectWorker } from "../shared/rpc.js";

/** For a start, which fetches a script; one that never finishes is repeated. */
const START_MS = 15_000;
const STARTS = 3;

export class Bench {
  #manifest;
  /** @type {Promise<RemoteWorker<BenchOperations>> | undefined} */
  #starting;
  /** What the worker found: the step of its clock in ms, and whether it is cross-origin isolated. */
  clockStep = 0;
  isolated = false;

  /** @param {Manifest} manifest with `root` absolute */
  constructor(manifest) {
    this.#manifest = manifest;
  }

  /**
   * Call an operation of the bench worker. After `limitMs` it fails with TimeoutError and the worker is ended; the next
   * call starts a new one, which has nothing loaded.
   * @template {keyof BenchOperations} Name
   * @param {Name} op @param {Argument<BenchOperations[Name]>} args @param {number} limitMs
   * @returns {Promise<Answer<BenchOperations[Name]>>}
   */
  async call(op, args, limitMs) {
    const worker = await this.open();
    try {
      return await worker.call(op, args, { timeout: limitMs });
    } catch (error) {
      if (error instanceof TimeoutError) this.end();
      throw error;
    }
  }

  /** The running worker, with the catalogue open. */
  open() {
    this.#starting ??= this.#start();
    this.#starting.catch(() => (this.#starting = undefined));
    return this.#starting;
  }

  async #start() {
    for (let attempt = 1; ; attempt++) {
      try {
        /** @type {RemoteWorker<BenchOperations>} */
        const worker = await connectWorker(new URL("./bench_worker.js", import.meta.url), { timeout: START_MS });
        worker.closed.then(() => (this.#starting = undefined));
        const args = { manifest: this.#manifest, root: this.#manifest.root };
        ({ clockStep: this.clockStep, isolated: this.isolated } = await worker.call("open", args, { timeout: START_MS }));
        return worker;
      } catch (error) {
        if (!(error instanceof TimeoutError) || attempt === STARTS) throw error;
      }
    }
  }

  /** End the worker; the next call starts a new one. */
  end() {
    this.#starting?.then((worker) => worker.end(), () => {});
    this.#starting = undefined;
  }
}
