// @ts-check
/** A database of small values in IndexedDB, one a server. storage.js says what becomes of them. */

const STORE = "kv";
const HERE = new URL("../../", String(import.meta.url)).href; // String: no file for bundlers

/** @typedef {ReturnType<typeof open> & {storage?: import("./storage.js").Storage}} Database `storage`: what storage.js made of it */
/** @type {Map<string, Database>} by name */
const opened = new Map();

/** @param {string} [server] @returns {Database} */
export function databaseOf(server = HERE) {
  const name = new URL(server).origin === globalThis.origin ? "fleetune" : `fleetune ${server}`;
  const known = opened.get(name) ?? open(name);
  opened.set(name, known);
  return known;
}

/** @param {string} name */
function open(name) {
  /** @type {Promise<IDBDatabase | undefined> | undefined} */
  let opening;

  /** Undefined where storage is blocked. */
  const connection = () =>
    (opening ??= new Promise((resolve) => {
      try {
        const request = indexedDB.open(name, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE);
        request.onerror = request.onblocked = () => resolve(undefined);
        request.onsuccess = () => {
          const { result } = request;
          // The user clears the site's data.
          result.onversionchange = () => result.close();
          result.onclose = () => (opening = undefined);
          resolve(result);
        };
      } catch {
        resolve(undefined);
      }
    }));

  /**
   * Resolves once committed, which is later than the request's success.
   * @template T @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>} ask @param {() => T} fallback
   * @returns {Promise<T>}
   */
  async function transact(mode, ask, fallback) {
    const opened = await connection();
    if (!opened) return fallback();
    return new Promise((resolve, reject) => {
      const transaction = opened.transaction(STORE, mode);
      const request = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () =>
        reject(new Error(`this browser's storage refused: ${transaction.error?.message ?? "aborted"}`));
    });
  }

  return { name, isOpen: () => opening, connection, transact };
}
