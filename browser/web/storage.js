// @ts-check
/**
 * Small values that outlive the tab: IndexedDB `fleetune`/`kv`, for page and Python (one writer per key). Where storage
 * is blocked values are kept until the tab closes. Pages of other origins keep what belongs to each server apart.
 */

const STORE = "kv";

/** @type {Map<string, any>} values of a tab without storage */
const volatile = new Map();
/** @type {Set<(key: string, value: any) => unknown>} */
const mirrors = new Set();
let database = nameFor(new URL("../", import.meta.url).href);

/** @param {string} server */
function nameFor(server) {
  return new URL(server).origin === self.origin ? "fleetune" : `fleetune ${server}`;
}

/** Whose values these are. @param {string} server */
export function belongTo(server) {
  if (nameFor(server) === database) return;
  database = nameFor(server);
  opening = undefined;
}

/**
 * Where nothing can be stored, tell `write` (the worker's) of this page's values until the returned function is called.
 * @param {(key: string, value: any) => unknown} write @returns {Promise<() => void>}
 */
export async function mirror(write) {
  await Promise.all([...volatile].map(([key, value]) => write(key, value)));
  mirrors.add(write);
  return () => mirrors.delete(write);
}
/** @type {Promise<IDBDatabase | undefined> | undefined} */
let opening;

/** @returns {Promise<IDBDatabase | undefined>} undefined where storage is blocked */
function open() {
  opening ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(database, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onerror = () => resolve(undefined);
      request.onblocked = () => resolve(undefined);
      request.onsuccess = () => {
        const opened = request.result;
        // The user clears the site's data: let go, open again when next needed.
        opened.onversionchange = () => opened.close();
        opened.onclose = () => (opening = undefined);
        resolve(opened);
      };
    } catch {
      resolve(undefined); // SecurityError, or no indexedDB at all
    }
  });
  return opening;
}

/** Looking must not make a database; true if that cannot be told. */
async function exists() {
  if (opening) return true;
  try {
    return (await indexedDB.databases()).some(({ name }) => name === database);
  } catch {
    return true;
  }
}

/**
 * One transaction; resolves when it is committed, not merely when the request succeeded.
 * @template T
 * @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>} ask @param {() => T} fallback
 * @returns {Promise<T>}
 */
async function transact(mode, ask, fallback) {
  const opened = await open();
  if (!opened) return fallback();
  return new Promise((resolve, reject) => {
    const transaction = opened.transaction(STORE, mode);
    const request = ask(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () =>
      reject(new Error(`this browser's storage refused: ${transaction.error?.message ?? "aborted"}`));
  });
}

/** Whether values outlive the tab. @returns {Promise<boolean>} */
export async function persistent() {
  if (self.origin === "null") return false;
  return !(await exists()) || (await open()) !== undefined;
}

/** @param {string} key @returns {Promise<any>} undefined if there is none */
export async function get(key) {
  if (!(await exists())) return volatile.get(key);
  return transact("readonly", (store) => store.get(key), () => volatile.get(key));
}

/** @param {string} key @param {any} value JSON-able @returns {Promise<void>} resolves once committed */
export async function set(key, value) {
  await transact("readwrite", (store) => store.put(value, key), () => (volatile.set(key, value), key));
  if (volatile.has(key)) await Promise.all([...mirrors].map((write) => write(key, value)));
}

/** @param {string} key @returns {Promise<void>} */
export async function remove(key) {
  if (!(await exists())) return void volatile.delete(key);
  await transact("readwrite", (store) => store.delete(key), () => void volatile.delete(key));
}
