// @ts-check
/** Small values that outlive the tab, in IndexedDB, one database a server; each key has one writer. Where storage is blocked they last as long as the tab. */

const STORE = "kv";
const HERE = new URL("../../", String(import.meta.url)).href; // String: no file for bundlers

/** @typedef {ReturnType<typeof open>} Storage */
/** @type {Map<string, Storage>} by name */
const opened = new Map();

/** @param {string} [server] @returns {Storage} */
export function storageOf(server = HERE) {
  const name = new URL(server).origin === globalThis.origin ? "fleetune" : `fleetune ${server}`;
  const known = opened.get(name) ?? open(name);
  opened.set(name, known);
  return known;
}

/** @param {string} database */
function open(database) {
  /** @type {Map<string, unknown>} values of a tab without storage */
  const volatile = new Map();
  /** @type {Set<(key: string, value: unknown) => unknown>} */
  const mirrors = new Set();
  /** @type {Promise<IDBDatabase | undefined> | undefined} */
  let opening;

  /** Carries keys of changed values to all tabs and workers. */
  function line() {
    try {
      return new BroadcastChannel(database);
    } catch {
      // blocked
    }
  }

  /** @param {string} key */
  function tell(key) {
    const open = line();
    open?.postMessage(key);
    open?.close();
  }

  /**
   * Where nothing can be stored, give the page's values to the worker's `write` until the returned function is called.
   * @param {(key: string, value: unknown) => unknown} write @returns {Promise<() => void>}
   */
  async function mirror(write) {
    await Promise.all([...volatile].map(([key, value]) => write(key, value)));
    mirrors.add(write);
    return () => mirrors.delete(write);
  }

  /** Undefined where storage is blocked. */
  function connection() {
    opening ??= new Promise((resolve) => {
      try {
        const request = indexedDB.open(database, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE);
        request.onerror = () => resolve(undefined);
        request.onblocked = () => resolve(undefined);
        request.onsuccess = () => {
          const opened = request.result;
          // The user clears the site's data.
          opened.onversionchange = () => opened.close();
          opened.onclose = () => (opening = undefined);
          resolve(opened);
        };
      } catch {
        resolve(undefined);
      }
    });
    return opening;
  }

  /** Whether the database exists, without creating it; true where the browser does not tell. */
  async function exists() {
    if (opening) return true;
    try {
      return (await indexedDB.databases()).some(({ name }) => name === database);
    } catch {
      return true;
    }
  }

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

  /** Whether values outlive the tab. */
  async function persistent() {
    if (globalThis.origin === "null") return false;
    return !(await exists()) || (await connection()) !== undefined;
  }

  /** @param {string} key @param {boolean} [make] a database, which is quicker @returns {Promise<unknown>} undefined if there is none */
  async function get(key, make) {
    if (!make && !(await exists())) return volatile.get(key);
    return transact("readonly", (store) => store.get(key), () => volatile.get(key));
  }

  /** @param {string} key @param {unknown} value JSON-able Resolves once committed. */
  async function set(key, value) {
    await transact("readwrite", (store) => store.put(value, key), () => (volatile.set(key, value), key));
    if (volatile.has(key)) await Promise.all([...mirrors].map((write) => write(key, value)));
    tell(key);
  }

  /** @param {string} key */
  async function remove(key) {
    if (await exists()) await transact("readwrite", (store) => store.delete(key), () => void volatile.delete(key));
    else volatile.delete(key);
    tell(key);
  }

  return { volatile, line, mirror, exists, persistent, get, set, remove };
}

export const { volatile, line, mirror, exists, persistent, get, set, remove } = storageOf();
