// @ts-check
/**
 * A worker's own worker, started by the page on its behalf: in Firefox a worker that starts one itself may hang for ever.
 * The two talk through a port, so a busy page does not hold them up.
 */
/** @import { Order } from "./protocol" */
import { NEST } from "./protocol.js";

/** In the worker: as much of `Worker` as `RemoteWorker` needs. */
export class NestedWorker {
  /** @type {((event: MessageEvent) => void) | null} */
  onmessage = null;
  /** @type {((event: ErrorEvent) => void) | null} */
  onerror = null;
  /** @type {((event: MessageEvent) => void) | null} */
  onmessageerror = null;
  #port;
  #control;

  /** @param {string} url of its module */
  constructor(url) {
    const [talk, control] = [new MessageChannel(), new MessageChannel()];
    this.#port = talk.port1;
    this.#control = control.port1;
    this.#port.onmessage = (event) => this.onmessage?.(event);
    this.#port.onmessageerror = (event) => this.onmessageerror?.(event);
    this.#control.onmessage = ({ data }) => this.onerror?.(new ErrorEvent("error", data));
    /** @type {Order} */
    const order = { url, port: talk.port2, control: control.port2 };
    self.postMessage({ event: NEST, data: order }, { transfer: [order.port, order.control] });
  }

  /** @param {unknown} message */
  postMessage(message) {
    this.#port.postMessage(message);
  }

  terminate() {
    this.#control.postMessage("end");
    this.#port.close();
  }
}

/**
 * In the page: start the worker that was asked for; it ends with the worker that asked.
 * @param {Order} order @param {(url: string) => Worker} start @param {Promise<unknown>} ended
 */
export function nest({ url, port, control }, start, ended) {
  const worker = start(url);
  worker.onerror = (event) => {
    event.preventDefault();
    const { message, filename, lineno } = event;
    control.postMessage({ message, filename, lineno });
  };
  // Wait for its first message: earlier ones are lost while a script of another origin is still being imported.
  worker.addEventListener("message", () => worker.postMessage({ port }, [port]), { once: true });
  control.onmessage = () => worker.terminate();
  ended.then(() => worker.terminate());
}
