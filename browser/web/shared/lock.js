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
    if (!navigator.locks) return resolve(false);
    // Refused in frames without an origin, which share nothing.
    navigator.locks.request(`fleetune:${name}`, () => (resolve(true), held)).catch(() => resolve(false));
  });
  if (!(await shared)) {
    const before = queues.get(name);
    queues.set(name, (before ?? Promise.resolve()).then(() => held));
    await before;
  }
  return release;
}
