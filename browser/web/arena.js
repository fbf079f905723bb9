// @ts-check
/** One kernel's memory: modules' data, the page's arrays, scratch space for copies. Its size is fixed: no view is ever detached. */

const PAGE = 65536;
const ALIGNMENT = 64;

/** @param {number} bytes */
const aligned = (bytes) => (bytes + ALIGNMENT - 1) & -ALIGNMENT;

/** A view of each element type. @param {ArrayBuffer} buffer */
export const heapsOf = (buffer) => ({
  i8: new Int8Array(buffer), u8: new Uint8Array(buffer),
  i16: new Int16Array(buffer), u16: new Uint16Array(buffer),
  i32: new Int32Array(buffer), u32: new Uint32Array(buffer),
  f32: new Float32Array(buffer), f64: new Float64Array(buffer),
});

export class Arena {
  #next;
  #first;
  /** Whether `alloc` was ever called, and who hears of the first call. */
  used = false;
  onUsed = () => {};

  /**
   * @param {number} dataEnd first byte that no module uses
   * @param {number} bytes for the whole memory; half is for `alloc`, half for copies
   */
  constructor(dataEnd, bytes) {
    const pages = Math.ceil(bytes / PAGE);
    // Without WebAssembly (Lockdown Mode): JavaScript, on the same arrays.
    this.memory = typeof WebAssembly === "object" ? new WebAssembly.Memory({ initial: pages, maximum: pages }) : undefined;
    const buffer = this.memory?.buffer ?? new ArrayBuffer(pages * PAGE);
    this.buffer = buffer;
    this.end = buffer.byteLength;
    this.#first = this.#next = aligned(dataEnd);
    /** Where copies begin. */
    this.scratch = aligned(this.#first + Math.floor((this.end - this.#first) / 2));
    this.heaps = heapsOf(buffer);
  }

  /**
   * A typed array inside this memory: a kernel takes it without copying.
   * @template T
   * @param {{new (buffer: ArrayBuffer, offset: number, length: number): T, BYTES_PER_ELEMENT: number}} Type
   * @param {number} length elements
   * @returns {T}
   */
  alloc(Type, length) {
    const end = aligned(this.#next + length * Type.BYTES_PER_ELEMENT);
    if (!(length >= 0) || end > this.scratch) {
      throw new RangeError(`no room for ${length} elements: ${this.scratch - this.#next} bytes are left; call release() or connect with a larger memoryBytes`);
    }
    const view = new Type(this.buffer, this.#next, length);
    Object.defineProperty(view, "fleetune", { value: this.buffer });
    this.#next = end;
    if (!this.used) {
      this.used = true;
      this.onUsed();
    }
    return view;
  }

  /** Forget every array that `alloc` gave; their views must not be used again. */
  release() {
    this.#next = this.#first;
  }
}
