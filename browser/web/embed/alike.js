// @ts-check
/** Whether two results are alike. */
import { isBuffer, isPicture, isPlain, kindOf, rawOf } from "./values.js";

/** @param {any} value @returns {any} bytes, whatever view or buffer holds them, for those that give one or the other */
const bytesOf = (value) =>
  isBuffer(value) || ["DataView", "Uint8ClampedArray"].includes(kindOf(value)) ? rawOf(value) : value;

/**
 * Whether two values are alike, all the way down; NaN is NaN, and an ArrayBuffer is the Uint8Array of its bytes.
 * @param {any} a @param {any} b @param {Map<any, any>} [seen] pairs that are being compared, or were @returns {boolean}
 */
export function equal(a, b, seen) {
  if (Object.is(a, b) || a === b) return true;
  return typeof a === "object" && typeof b === "object" && a !== null && b !== null && alike(bytesOf(a), bytesOf(b), seen ?? new Map());
}

/** @param {any} a @param {any} b @param {Map<any, any>} seen @returns {boolean} */
function alike(a, b, seen) {
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const kind = kindOf(a);
  if (kind !== kindOf(b)) return false;
  if (kind === "Date") return Object.is(Number(a), Number(b));
  if (isPicture(a)) return a.width === b.width && equal(a.data, b.data);
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (kind === "Map" || kind === "Set") return equal([...a], [...b], seen); // in the order in which they were filled
  if (Array.isArray(a) || ArrayBuffer.isView(a)) {
    const [one, other] = [a, b].map((list) => /** @type {any[]} */ (list));
    if (one.length !== other.length) return false;
    for (let i = 0; i < one.length; i++) if (one[i] !== other[i] && !equal(one[i], other[i], seen)) return false;
    return true;
  }
  const keys = Object.keys(a);
  // Nothing can be seen of a Blob or an ImageBitmap: `same` has to look into it.
  return (keys.length > 0 || isPlain(a)) && keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key], seen));
}
