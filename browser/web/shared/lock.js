// @ts-check
/** Named locks, shared by every tab and worker of an origin. */

/** @type {Map<string, Promise<void>>} the last in each queue, where the browser has no locks */
const queues = new Map();

/**
 * Hold the named lock until `release` is called.
 * @param {string} name @returns {Promise<() => void>} release
 */
export async function lock(name) {
  /** @type {() => void} */
  let release = () => {};
  /** @type {Promise<void>} */
  const held = new Promise((resolve) => (release = resolve));
  /** @type {Promise<boolean>} */
  const shared = new Promise((resolve) => {
    const { locks } = globalThis.navigator ?? {}; // Node of before 21 has neither
    if (!locks) return resolve(false);
    // Refused in frames without an origin, which share nothing.
    locks.request(`fleetune:${name}`, () => (resolve(true), held)).catch(() => resolve(false));
  });
  if (!(await shared)) {
    const before = queues.get(name);
    queues.set(name, (before ?? Promise.resolve()).then(() => held));
    await before;
  }
  return release;
}
