// @ts-check
/** Time on a page: its clock, when it has nothing to do, and whose turn it is to measure. */

import { pause } from "./implementations.js";
import { lockOf } from "./saved.js";

/** @type {(() => void)[]} */
const turns = [];
/** A message comes back at once, where nested timers wait 4 ms. @type {MessageChannel | undefined} */
let channel;

/** Let the page have its turn. @returns {Promise<unknown>} */
function turn() {
  const { scheduler, document } = /** @type {any} */ (globalThis);
  if (scheduler?.yield) return scheduler.yield();
  if (!document) return pause();
  if (!channel) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => turns.shift()?.();
  }
  return new Promise((resolve) => {
    turns.push(() => resolve(undefined));
    channel?.port2.postMessage(0);
  });
}

/** @type {import("./measure.js").PageClock} */
export const PAGE = {
  now: () => performance.now(),
  pause: turn,
  idle: (until) =>
    new Promise((resolve) => {
      const { scheduler, document, requestIdleCallback } = /** @type {any} */ (globalThis);
      const done = () => {
        clearTimeout(timer);
        document?.removeEventListener("visibilitychange", whenSeen);
        resolve(undefined);
      };
      const whenSeen = () => {
        if (document?.hidden) return;
        if (scheduler?.postTask) scheduler.postTask(done, { priority: "background" });
        else (requestIdleCallback ?? setTimeout)(done);
      };
      const timer = setTimeout(done, Math.min(Math.max(until - performance.now(), 0), 2 ** 31 - 1));
      document?.addEventListener("visibilitychange", whenSeen);
      whenSeen();
    }),
};

/**
 * Work under a named lock; without it where there are none, or none for a frame without an origin, which shares nothing.
 * @template T @param {string} name @param {LockOptions} how @param {() => Promise<T>} work
 * @returns {Promise<T | undefined>} undefined if its turn did not come
 */
async function locked(name, how, work) {
  const { locks } = globalThis.navigator ?? {};
  let begun = false;
  const begin = () => ((begun = true), work());
  try {
    return await (locks?.request(name, how, begin) ?? begin());
  } catch (error) {
    if (begun) throw error;
    return how.signal?.aborted ? undefined : begin();
  }
}

/** Other tabs see that this one is alive, so whom it tries has not hung. @template T @param {string} key @param {() => Promise<T>} work */
export const alive = (key, work) => locked(lockOf(key), { mode: "shared" }, work);

/**
 * Of all jobs and tabs of this origin, one measures at a time.
 * @template T @param {string} key @param {AbortSignal} signal when nobody waits any longer @param {() => Promise<T>} work
 * @returns {Promise<T | undefined>} undefined if its turn did not come
 */
export const oneAtATime = (key, signal, work) => locked("fleetune choose", { signal }, () => alive(key, work));
