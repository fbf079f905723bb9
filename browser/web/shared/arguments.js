// @ts-check
/** What a call's arguments must be (EMBED.md), where short tests fail. */
/** @import { TypedArray } from "./wire" */
import { TYPES } from "./arena.js";

const ARRAY = Object.getPrototypeOf(Int8Array.prototype);

/** What the language itself says of a typed array, whichever window or class made it. @param {any} value @param {PropertyKey} key */
const really = (value, key) => Reflect.get(ARRAY, key, value);

/** @param {unknown} value */
const shown = (value) => really(value, Symbol.toStringTag) ?? (value === null ? "null" : Array.isArray(value) ? "an array" : typeof value);

/** An array of that element type, without methods of its own (`Buffer`'s `slice` copies nothing). @param {any} value @param {string} name @param {string} type @returns {TypedArray} */
export function plainArray(value, name, type) {
  const tag = really(value, Symbol.toStringTag);
  const names = Object.keys(TYPES).filter((one) => TYPES[one] === type);
  if (!names.includes(tag)) throw new TypeError(`Fleetune: ${name} must be a ${names.join(" or ")}, not ${shown(value)}`);
  const Type = /** @type {any} */ (globalThis)[tag];
  const length = really(value, "length");
  return value.constructor === Type ? value : new Type(length ? really(value, "buffer") : 0, length && really(value, "byteOffset"), length);
}

/** Throws unless a value is a number in a range. @param {unknown} value @param {string} name @param {boolean} whole @param {number} low @param {number} high */
export function checkNumber(value, name, whole, low, high) {
  if (typeof value !== "number") throw new TypeError(`Fleetune: ${name} must be a number, not ${shown(value)}`);
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new RangeError(`Fleetune: ${name} must be a ${whole ? "whole " : ""}number from ${low} to ${high}, not ${value}`);
  }
}

/** @param {ArrayLike<unknown>} array @param {string} name @param {number} needed */
export function checkLength(array, name, needed) {
  if (!(needed <= array.length)) throw new RangeError(`Fleetune: ${name} has ${array.length} elements, this call needs ${needed}`);
}

/** @param {string} one @param {string} other */
export function refuseShared(one, other) {
  throw new RangeError(`Fleetune: ${one} and ${other} are both written and may not share elements`);
}

/** Whether the first elements of two views of one buffer share bytes. @param {TypedArray} a @param {number} count @param {TypedArray} b @param {number} others */
export function across(a, count, b, others) {
  const [to, end] = [a.byteOffset + count * a.BYTES_PER_ELEMENT, b.byteOffset + others * b.BYTES_PER_ELEMENT];
  return Math.max(a.byteOffset, b.byteOffset) < Math.min(to, end);
}
