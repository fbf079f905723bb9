// @ts-check
/** Small values that outlive the tab, in IndexedDB, one database a server; each key has one writer. Where storage is blocked they last as long as the tab. */

import { databaseOf } from "./database.js";

/** @typedef {ReturnType<typeof open>} Storage */

/** @param {string} [server] @returns {Storage} */
export function storageOf(server) {
  const database = databaseOf(server);
  return (database.storage ??= open(database));
}

/** @param {import("./database.js").Database} database */
function open({ name, isOpen, connection, transact }) {
  /** @type {Map<string, unknown>} values of a tab without storage */
  const volatile = new Map();
  /** Who is given what cannot be stored. @type {Set<(key: string, value: unknown) => unknown>} */
  const mirrors = new Set();

  /** Carries keys of changed values to all tabs and workers. */
  function line() {
    try {
      return new BroadcastChannel(name);
    } catch {
      // blocked
    }
  }

  /** @param {string} key */
  function tell(key) {
    const to = line();
    to?.postMessage(key);
    to?.close();
  }

  /** Whether the database exists, without creating it; true where the browser does not tell. */
  async function exists() {
    if (isOpen()) return true;
    try {
      return (await indexedDB.databases()).some((one) => one.name === name);
    } catch {
      return true;
    }
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
    volatile.delete(key);
    if (await exists()) await transact("readwrite", (store) => store.delete(key), () => undefined);
    tell(key);
  }

  return { volatile, mirrors, line, exists, persistent, get, set, remove };
}

export const { volatile, mirrors, line, exists, persistent, get, set, remove } = storageOf();
