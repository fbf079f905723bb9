// @ts-check
/** What a call's arguments must be (EMBED.md); called where a dispatcher's short tests fail. */
/** @import { TypedArray } from "./wire" */

/** Element type → the constructors' names that hold it. @type {Record<string, string[]>} */
const ARRAYS = {
  i8: ["Int8Array"], u8: ["Uint8Array", "Uint8ClampedArray"], i16: ["Int16Array"], u16: ["Uint16Array"],
  i32: ["Int32Array"], u32: ["Uint32Array"], f32: ["Float32Array"], f64: ["Float64Array"],
};
/** The name of a typed array's type, whichever window made it. */
const tagOf = /** @type {(this: unknown) => string | undefined} */ (
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Int8Array.prototype), Symbol.toStringTag)?.get
);

/** @param {unknown} value */
const shown = (value) => tagOf.call(value) ?? (value === null ? "null" : Array.isArray(value) ? "an array" : typeof value);

/** Throws unless a value is a typed array of that element type. @param {unknown} value @param {string} name @param {string} type */
export function checkArray(value, name, type) {
  if (!ARRAYS[type].includes(/** @type {string} */ (tagOf.call(value)))) {
    throw new TypeError(`Fleetune: ${name} must be a ${ARRAYS[type].join(" or ")}, not ${shown(value)}`);
  }
}

/**
 * Throws unless a value is a number in a range; whole, if it is an integer's type.
 * @param {unknown} value @param {string} name @param {boolean} whole @param {number} low @param {number} high
 */
export function checkNumber(value, name, whole, low, high) {
  if (typeof value !== "number") throw new TypeError(`Fleetune: ${name} must be a number, not ${shown(value)}`);
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new RangeError(`Fleetune: ${name} must be a ${whole ? "whole " : ""}number from ${low} to ${high}, not ${value}`);
  }
}

/** Throws unless an array has so many elements. @param {ArrayLike<unknown>} array @param {string} name @param {number} needed */
export function checkLength(array, name, needed) {
  if (!(needed <= array.length)) throw new RangeError(`Fleetune: ${name} has ${array.length} elements, this call needs ${needed}`);
}

/** Throws because two arrays that are written share elements. @param {string} one @param {string} other */
export function refuseShared(one, other) {
  throw new RangeError(`Fleetune: ${one} and ${other} are both written and may not share elements`);
}

/**
 * Whether the first elements of two views of one buffer share bytes.
 * @param {TypedArray} a @param {number} count @param {TypedArray} b @param {number} others
 */
export function across(a, count, b, others) {
  const [to, end] = [a.byteOffset + count * a.BYTES_PER_ELEMENT, b.byteOffset + others * b.BYTES_PER_ELEMENT];
  return Math.max(a.byteOffset, b.byteOffset) < Math.min(to, end);
}
