// @ts-check
/**
 * Timing loops, one text for each candidate: closures of one text share what the engine learns at the call inside, and a call site that
 * has seen five functions is slow (50 ns in JavaScriptCore). Policies forbid making code in the page, so the texts are written out.
 */

/** @typedef {(f: Function, sets: any[][], n: number) => any} Loop calls `f` n times, with the sets of arguments in turn */

/** @type {Loop[]} */
const ALIKE = [
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
];
/** @type {Loop[]} */
const WAITING = [
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
  async (f, sets, n) => { let r; for (let i = 0, k = 0; i < n; i++) { r = await f(...sets[k]); k = k + 1 === sets.length ? 0 : k + 1; } return r; },
];

let [taken, waiting] = [0, 0];

/** A loop that no other candidate of this page has; from the seventeenth on they are used again. @param {boolean} waits for each call's promise */
export const ownLoop = (waits) => (waits ? WAITING[waiting++ % WAITING.length] : ALIKE[taken++ % ALIKE.length]);
