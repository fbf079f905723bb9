// @ts-check
/** Arguments and results of any kind: copies, comparison, and what became of them. */

/** @param {any} value @returns {value is ImageData} */
const isPicture = (value) => globalThis.ImageData !== undefined && value instanceof ImageData;

/** As every typed array has it: the one of Node's `Buffer` copies nothing. */
const slice = Object.getPrototypeOf(Int8Array.prototype).slice;

/** A copy that shares no memory; what cannot be copied (functions, elements of the page) stays itself. @param {any} value @returns {any} */
export function copyOf(value) {
  if (ArrayBuffer.isView(value)) return value instanceof DataView ? new DataView(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength)) : slice.call(value);
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (Array.isArray(value)) return value.map(copyOf);
  if (isPicture(value)) return new ImageData(copyOf(value.data), value.width, value.height);
  if (Object.getPrototypeOf(value ?? 0) === Object.prototype) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, copyOf(one)]));
  return value;
}

/** @param {any} value @returns {any} bytes, whatever view or buffer holds them, for those that give one or the other */
const bytesOf = (value) =>
  value instanceof ArrayBuffer ? new Uint8Array(value) : value instanceof DataView || value instanceof Uint8ClampedArray ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : value;

/** Whether two values are alike, all the way down; NaN is NaN, and an ArrayBuffer is the Uint8Array of its bytes. @param {any} a @param {any} b @returns {boolean} */
export function equal(a, b) {
  if (Object.is(a, b) || a === b) return true;
  return alike(bytesOf(a), bytesOf(b));
}

/** @param {any} a @param {any} b @returns {boolean} */
function alike(a, b) {
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (isPicture(a)) return a.width === b.width && equal(a.data, b.data);
  if (typeof a.length === "number") {
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && !equal(a[i], b[i])) return false;
    return true;
  }
  const keys = Object.keys(a);
  // Nothing can be seen of a Blob or an ImageBitmap: `same` has to look into it.
  return (keys.length > 0 || Object.getPrototypeOf(a) === Object.prototype) && keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}

/** Put the contents back into the arguments of a call that failed half way. @param {any[]} args @param {any[]} kept copies @returns {any[]} what to call the reference with */
export function restored(args, kept) {
  return args.map((value, i) => {
    if (!ArrayBuffer.isView(value) || value.byteLength !== kept[i].byteLength) return Array.isArray(value) ? (value.splice(0, Infinity, ...kept[i]), value) : kept[i] ?? value;
    new Uint8Array(value.buffer, value.byteOffset, value.byteLength).set(new Uint8Array(kept[i].buffer, kept[i].byteOffset, kept[i].byteLength));
    return value;
  });
}

/** The arguments that `input` made: an array is the list of them. @param {any} made @returns {any[]} */
export const argumentsOf = (made) => (Array.isArray(made) ? made : [made]);
