// @ts-check
/**
 * Small values that outlive the tab: IndexedDB `fleetune`/`kv`, used by the page and by Python alike (one writer per
 * key). Where storage is blocked (some private windows) values are kept until the tab closes; `persistent()` says so.
 */

const DATABASE = "fleetune";
const STORE = "kv";

/** @type {Map<string, any>} values of a tab without storage */
const volatile = new Map();
/** @type {Promise<IDBDatabase | undefined> | undefined} */
let opening;

/** @returns {Promise<IDBDatabase | undefined>} undefined where storage is blocked */
function open() {
  opening ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onerror = () => resolve(undefined);
      request.onblocked = () => resolve(undefined);
      request.onsuccess = () => {
        const database = request.result;
        // Another tab upgrades or the user clears the site's data: let go, and open again when next needed.
        database.onversionchange = () => database.close();
        database.onclose = () => (opening = undefined);
        resolve(database);
      };
    } catch {
      resolve(undefined); // SecurityError, or no indexedDB at all
    }
  });
  return opening;
}

/**
 * One transaction; resolves when it is committed, not merely when the request succeeded.
 * @template T
 * @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>} ask @param {() => T} fallback
 * @returns {Promise<T>}
 */
async function transact(mode, ask, fallback) {
  const database = await open();
  if (!database) return fallback();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = ask(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () =>
      reject(new Error(`this browser's storage refused: ${transaction.error?.message ?? "aborted"}`));
  });
}

/** Whether values outlive the tab. @returns {Promise<boolean>} */
export async function persistent() {
  return (await open()) !== undefined;
}

/** @param {string} key @returns {Promise<any>} undefined if there is none */
export function get(key) {
  return transact("readonly", (store) => store.get(key), () => volatile.get(key));
}

/** @param {string} key @param {any} value JSON-able @returns {Promise<void>} resolves once committed */
export async function set(key, value) {
  await transact("readwrite", (store) => store.put(value, key), () => (volatile.set(key, value), key));
}

/** @param {string} key @returns {Promise<void>} */
export async function remove(key) {
  await transact("readwrite", (store) => store.delete(key), () => void volatile.delete(key));
}

/** @type {Map<string, Promise<void>>} the tail of each queue, where the browser has no locks */
const queues = new Map();

/**
 * Hold the named lock, shared by every tab and worker of this origin, until `release` is called.
 * @param {string} name @returns {Promise<() => void>} release
 */
export async function lock(name) {
  /** @type {() => void} */
  let release = () => {};
  /** @type {Promise<void>} */
  const held = new Promise((resolve) => (release = resolve));
  if (navigator.locks) {
    await new Promise((granted, failed) => {
      navigator.locks.request(`fleetune:${name}`, () => (granted(undefined), held)).catch(failed);
    });
  } else {
    // Only in an insecure context; there is no other tab to share with that could be trusted to queue.
    const before = queues.get(name);
    queues.set(name, (before ?? Promise.resolve()).then(() => held));
    await before;
  }
  return release;
}
