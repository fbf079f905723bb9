// @ts-check
/**
 * Kernels of an operator's own: modules that bring their own memory, and adapters that make the call. Fetched only
 * for such a kernel.
 */
import { heapsOf } from "./arena.js";

const PAGE = 65536;
const ALIGNMENT = 64;

/**
 * Where a module that exports its memory takes arguments: `bytes` from its allocator, at its fixed scratch address, or
 * behind all that it starts with. Call it once for each instance: what the module keeps there is not known here.
 * @param {{export: string, arrays: boolean, allocator: string | null, scratch: number | null}} own
 * @param {any} exports @param {number} bytes
 */
export function placeIn(own, exports, bytes) {
  /** @type {WebAssembly.Memory} */
  const memory = exports[own.export];
  let base;
  if (own.allocator) base = (exports[own.allocator](bytes + ALIGNMENT) >>> 0) + ALIGNMENT - 1;
  else base = (own.scratch ?? memory.buffer.byteLength) + ALIGNMENT - 1;
  base -= base % ALIGNMENT;
  const missing = Math.ceil((base + bytes - memory.buffer.byteLength) / PAGE);
  if (missing > 0) {
    if (own.allocator) throw new Error(`its ${own.allocator} gave no room for ${bytes} bytes`);
    memory.grow(missing);
  }
  return { memory, base };
}

/**
 * The function that a variant is called by, with pointers for arrays.
 * @param {any} entry @param {string} name @param {any} exports @param {Record<string, Function> | undefined} adapters
 * @param {WebAssembly.Memory | undefined} memory the imported one
 * @returns {Function}
 */
export function callOf(entry, name, exports, adapters, memory) {
  const { adapter, export: own } = entry.variants.find((/** @type {any} */ variant) => variant.name === name);
  if (!adapter) return exports[own];
  const make = adapters?.[adapter];
  if (!make) throw new Error(`its script has no adapter ${adapter}`);
  return make(exports, entry.memory ? exports[entry.memory.export] : memory);
}

/**
 * Call and arena of one instance, for a page that calls the kernel.
 * @param {any} entry @param {string} name @param {any} exports @param {any} script
 * @param {import("./arena.js").Arena} arena the kernel's, which modules with a memory of their own do not use
 * @param {number} memoryBytes @returns {[Function, any]}
 */
export function bound(entry, name, exports, script, arena, memoryBytes) {
  const run = callOf(entry, name, exports, script.adapters, arena.memory);
  if (!entry.memory || entry.memory.arrays) return [run, arena];
  const bytes = memoryBytes >> 1;
  const { memory, base } = placeIn(entry.memory, exports, bytes);
  return [run, { buffer: memory.buffer, scratch: base, end: base + bytes, heaps: heapsOf(memory.buffer) }];
}
