// @ts-check
/**
 * The messages between a page and its workers, and nothing else. operations.d.ts says which operations and events there are.
 *
 * Request `{id, op, args}` → reply `{id, ok: true, value}` or `{id, ok: false, error}`. A worker sends events on its own,
 * `{event, data}`: first `ready` with the names of its operations; `alive` every few seconds if it is watched; `nest` to
 * have another worker started. Only JSON and bytes cross.
 */

/** @typedef {{id: number, op: string, args: unknown}} Request */
/** @typedef {{name: string, message: string, detail?: unknown}} ErrorData an error as data; `detail` is JSON */
/** @typedef {{id: number, ok: true, value: unknown} | {id: number, ok: false, error: ErrorData}} Reply */
/** @typedef {{event: string, data: unknown}} Event */
/** @typedef {{url: string, port: MessagePort, control: MessagePort}} Order the worker that `nest` asks for: its module, a port to it, a port to its starter */

export const READY = "ready";
export const ALIVE = "alive";
export const NEST = "nest";

/** The name of Fleetune's own workers, followed by `gpc` if the page sees Global Privacy Control: extensions show it to pages alone. */
export const WORKER_NAME = "fleetune";

/** An error that crossed: `name` is the one it had on the other side. */
export class RemoteError extends Error {
  /** @param {ErrorData} data */
  constructor({ name, message, detail }) {
    super(message);
    this.name = name;
    this.detail = detail;
  }
}

/** The worker ended, or did not answer in time. */
export class WorkerError extends Error {
  name = "WorkerError";
}

/** The worker's script could not be loaded: the server is away. */
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
  return { name, message, detail: "detail" in error ? error.detail : undefined };
}

/** @param {unknown} message @returns {message is Event} */
export const isEvent = (message) => typeof message === "object" && message !== null && "event" in message && typeof message.event === "string";
