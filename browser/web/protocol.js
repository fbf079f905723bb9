// @ts-check
/**
 * The messages between the rooms (page, Python worker, bench worker), and nothing else.
 *
 * Request `{id, op, args}` → reply `{id, ok: true, value}` or `{id, ok: false, error}`; unasked-for events are
 * `{event, data}`. A worker's first message is the event `ready` with the names of its operations; one that may
 * be given up says `alive` all the time. Only JSON and bytes cross.
 */

/** @typedef {{id: number, op: string, args: any}} Request */
/** @typedef {{name: string, message: string, detail?: any}} ErrorData an error as data; `detail` is JSON */
/** @typedef {{id: number, ok: true, value: any} | {id: number, ok: false, error: ErrorData}} Reply */
/** @typedef {{event: string, data: any}} Event */

export const READY = "ready";
export const ALIVE = "alive";

/** An error that crossed: `name` is the one it had on the other side. */
export class RemoteError extends Error {
  /** @param {ErrorData} data */
  constructor({ name, message, detail }) {
    super(message);
    this.name = name;
    this.detail = detail;
  }
}

/** The other side ended, or did not answer in time. */
export class WorkerError extends Error {
  name = "WorkerError";
}

/** Its script did not come: the server is away. */
export class UnreachableError extends WorkerError {
  name = "UnreachableError";
}

export class TimeoutError extends WorkerError {
  name = "TimeoutError";
}

/** @param {unknown} error @returns {ErrorData} */
export function errorData(error) {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message } = error;
  return { name, message, detail: /** @type {any} */ (error).detail };
}

/** @param {any} message @returns {message is Event} */
export const isEvent = (message) => typeof message?.event === "string";
