// @ts-check
/**
 * A worker's own worker, started by the page on its behalf: in Firefox some workers hang for ever where they start one
 * themselves. The two talk through a port, so that a busy page does not hold up what they do.
 */

/** @typedef {{url: string, port: MessagePort, control: MessagePort}} Order */

/** The event by which a worker asks its starter for another. */
export const NEST = "nest";

/** In the worker: what `new Worker` would be, as far as `RemoteWorker` needs it. */
export class NestedWorker {
  /** @type {((event: any) => void) | undefined} */
  onmessage;
  /** @type {((event: any) => void) | undefined} */
  onerror;
  /** @type {((event: any) => void) | undefined} */
  onmessageerror;
  #port;
  #control;

  /** @param {string} url of its module */
  constructor(url) {
    const [talk, control] = [new MessageChannel(), new MessageChannel()];
    this.#port = talk.port1;
    this.#control = control.port1;
    this.#port.onmessage = (event) => this.onmessage?.(event);
    this.#port.onmessageerror = (event) => this.onmessageerror?.(event);
    this.#control.onmessage = ({ data }) => this.onerror?.({ ...data, preventDefault() {} });
    const order = { url, port: talk.port2, control: control.port2 };
    self.postMessage({ event: NEST, data: order }, { transfer: [order.port, order.control] });
  }

  /** @param {any} message */
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
  // Once it listens: what comes while a foreign worker still imports its module is lost.
  worker.addEventListener("message", () => worker.postMessage({ port }, [port]), { once: true });
  control.onmessage = () => worker.terminate();
  ended.then(() => worker.terminate());
}
