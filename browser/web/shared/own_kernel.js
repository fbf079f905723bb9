// @ts-check
/** Kernels of an operator's own: modules with their own memory, and adapters that make the call. Loaded only for such kernels. */
/** @import { Adapters, CallArena, EmbedScript, KernelCall, KernelEntry, OwnMemory } from "./wire" @import { Arena } from "./arena" */
import { PAGE, aligned, heapsOf, marksOf } from "./arena.js";

/**
 * The function that calls a variant, with pointers for arrays.
 * @param {KernelEntry} entry @param {string} name @param {WebAssembly.Exports} exports @param {Adapters | undefined} adapters
 * @param {WebAssembly.Memory | undefined} memory the imported one
 */
export function callOf(entry, name, exports, adapters, memory) {
  /** @type {() => void | undefined} */ (exports._initialize)?.(); // of WASI's reactors (Emscripten, TinyGo): before all else
  const { adapter, export: own = "run" } = entry.variants.find((variant) => variant.name === name) ?? {};
  if (!adapter) return /** @type {KernelCall} */ (exports[own]);
  const make = adapters?.[adapter];
  if (!make) throw new Error(`its script has no adapter ${adapter}`);
  return make(exports, entry.memory ? /** @type {WebAssembly.Memory} */ (exports[entry.memory.export]) : memory);
}

/**
 * Call and arena of one instance, for a page that calls the kernel.
 * @param {KernelEntry} entry @param {string} name @param {WebAssembly.Exports} exports @param {EmbedScript} script
 * @param {Arena} arena the kernel's, which modules with their own memory do not use
 * @param {number} memoryBytes @returns {[KernelCall, CallArena]}
 */
export function bound(entry, name, exports, script, arena, memoryBytes) {
  const run = callOf(entry, name, exports, script.adapters, arena.memory);
  if (!entry.memory || entry.memory.arrays) return [run, arena];
  return [run, stagingIn(entry.memory, exports, Math.floor(memoryBytes / 2))];
}

/**
 * Where a module that exports its memory takes arguments: from its allocator, from an address on, or behind all that it
 * starts with. Less than `bytes` if there is no more. Call it once for each instance: what the module keeps there is
 * not known here.
 * @param {OwnMemory} own @param {WebAssembly.Exports} exports @param {number} bytes @returns {CallArena}
 */
export function stagingIn(own, exports, bytes) {
  const memory = /** @type {WebAssembly.Memory} */ (exports[own.export]);
  let [base, end] = own.allocator ? given(memory, /** @type {KernelCall} */ (exports[own.allocator]), bytes) : [own.scratch ?? memory.buffer.byteLength, 0];
  base = aligned(Math.max(base, 1)); // no argument is a null pointer
  if (!own.allocator) end = grown(memory, base + bytes);
  const buffer = memory.buffer;
  return { buffer, marks: marksOf(), base, scratch: base, end, heaps: heapsOf(buffer), reach: (/** @type {number} */ to) => to <= end };
}

/** From an allocator as much as it gives, up to `bytes`, at least a page. @param {WebAssembly.Memory} memory @param {KernelCall} allocate @param {number} bytes @returns {[number, number]} */
function given(memory, allocate, bytes) {
  for (let size = Math.max(bytes, PAGE); size >= PAGE; size /= 2) {
    const at = Number(allocate(size)) >>> 0;
    if (at && at + size <= memory.buffer.byteLength) return [at, at + size];
  }
  throw new Error(`its allocator gives no room for ${PAGE} bytes`);
}

/** The end of a memory that was to reach up to an address. @param {WebAssembly.Memory} memory @param {number} to */
function grown(memory, to) {
  const missing = Math.ceil((to - memory.buffer.byteLength) / PAGE);
  try {
    if (missing > 0) memory.grow(missing);
  } catch {
    // It has a maximum: calls that need more go to JavaScript.
  }
  return memory.buffer.byteLength;
}
