// @ts-check
/** @import { KernelEntry } from "./wire" */
/**
 * Where arguments lie in a kernel's memory, for pages, the benchmark and `fleetune kernels check` alike: from `dataEnd` on the
 * arrays of `alloc`, then what is copied.
 */

export const PAGE = 65536;
export const ALIGNMENT = 64;
const MOST_BYTES = 2 ** 30; // addresses stay positive in 32 bits
/** Between arrays, so that equal offsets of two arrays are not a multiple of 4 KiB apart (store-to-load aliasing). */
export const STAGGER = 192;

/** @param {number} bytes */
export const aligned = (bytes) => (bytes + ALIGNMENT - 1) & -ALIGNMENT;

/** A view of each element type. @param {ArrayBuffer} buffer */
export const heapsOf = (buffer) => ({
  i8: new Int8Array(buffer), u8: new Uint8Array(buffer),
  i16: new Int16Array(buffer), u16: new Uint16Array(buffer),
  i32: new Int32Array(buffer), u32: new Uint32Array(buffer),
  f32: new Float32Array(buffer), f64: new Float64Array(buffer),
});

/** What `alloc` makes. @type {Record<string, string>} */
export const TYPES = {
  Int8Array: "i8", Uint8Array: "u8", Uint8ClampedArray: "u8", Int16Array: "i16", Uint16Array: "u16",
  Int32Array: "i32", Uint32Array: "u32", Float32Array: "f32", Float64Array: "f64",
};

/** @typedef {Pick<KernelEntry, "dataEnd" | "pages">} Placed the part of a kernel's entry that says what its modules use */

/** Marks by element type, as no other memory has them. */
export const marksOf = () => Object.fromEntries(Object.values(TYPES).map((type) => [type, { type }]));

/** What `memoryBytes` must be. @param {number} bytes */
export function checkMemoryBytes(bytes) {
  if (typeof bytes !== "number") throw new TypeError(`memoryBytes must be a number of bytes, not ${typeof bytes}`);
  if (!(bytes >= 0 && bytes <= MOST_BYTES)) throw new RangeError(`memoryBytes must be from 0 to ${MOST_BYTES} (1 GiB), not ${bytes}`);
}

/** Memory with so much room behind `dataEnd`, or why there is none. @param {Placed} entry @param {number} bytes @returns {{memory?: WebAssembly.Memory, refused?: string}} */
function memoryFor({ dataEnd, pages = { least: 0 } }, bytes) {
  // Without WebAssembly (Lockdown Mode) JavaScript works on the same arrays.
  if (typeof WebAssembly !== "object") return { refused: "this browser has no WebAssembly" };
  const initial = Math.max(pages.least, Math.min(Math.ceil((dataEnd + bytes) / PAGE), MOST_BYTES / PAGE));
  // A module that can make its memory grow would take the page's arrays away: it gets one that cannot.
  const maximum = pages.most ?? (pages.grows ? initial : MOST_BYTES / PAGE);
  try {
    return { memory: new WebAssembly.Memory({ initial: Math.min(initial, maximum), maximum }) };
  } catch (error) {
    return { refused: `no WebAssembly memory: ${/** @type {Error} */ (error).message}` };
  }
}

export class Arena {
  #next;
  #first;
  /** Whether `alloc` was called; `onUsed` hears of it. */
  used = false;
  onUsed = () => {};
  /** What `alloc` marks arrays with: of that type, whole, and here. */
  marks = marksOf();
  /** @type {any[]} */
  #marked = [];

  /**
   * @param {Placed} entry
   * @param {number} bytes behind it; half is for `alloc`, half for copies
   */
  constructor(entry, bytes) {
    checkMemoryBytes(bytes);
    const { memory, refused } = memoryFor(entry, bytes);
    this.memory = memory;
    this.refused = refused;
    this.#first = this.#next = aligned(entry.dataEnd);
    this.buffer = memory?.buffer ?? new ArrayBuffer(this.#first + bytes);
    this.end = this.buffer.byteLength;
    this.heaps = heapsOf(this.buffer);
    /** Where copies begin. */
    this.scratch = aligned(this.#first + Math.floor((this.end - this.#first) / 2));
  }

  /** Where arguments may begin. */
  get base() {
    return this.#first;
  }

  /** Room for copies up to an address: whether there is now. Before the first `alloc` a memory can grow. @param {number} to */
  reach(to) {
    if (to <= this.end) return true;
    if (this.used || !this.memory || to > MOST_BYTES) return false;
    try {
      this.memory.grow(Math.ceil((to - this.end) / PAGE));
    } catch {
      return false;
    }
    this.buffer = this.memory.buffer;
    this.end = this.buffer.byteLength;
    this.heaps = heapsOf(this.buffer);
    return true;
  }

  /** @template T @param {import("../embed/fleetune").ArrayType<T>} Type @param {number} length @returns {T} */
  alloc(Type, length) {
    const type = typeof Type === "function" ? TYPES[Type.name] : undefined;
    if (!type) throw new TypeError(`alloc makes ${Object.keys(TYPES).join(", ")}`);
    if (!(Number.isInteger(length) && length >= 0)) throw new RangeError(`alloc wants a whole number, not ${String(length)}`);
    const bytes = length * Type.BYTES_PER_ELEMENT;
    if (this.#next + bytes > this.scratch) {
      throw new RangeError(`no room for ${length} elements: ${this.scratch - this.#next} bytes are left; call release() or connect with a larger memoryBytes`);
    }
    const view = new Type(this.buffer, this.#next, length);
    Object.defineProperty(view, "fleetune", { value: this.marks[type], configurable: true });
    this.#marked.push(view);
    this.#next = Math.min(aligned(this.#next + bytes) + STAGGER, this.scratch);
    if (!this.used) {
      this.used = true;
      this.onUsed();
    }
    return view;
  }

  /** Arrays of before share elements with those to come. */
  release() {
    for (const view of this.#marked) Reflect.deleteProperty(view, "fleetune"); // a frozen one has no elements
    this.#marked = [];
    this.#next = this.#first;
  }
}
