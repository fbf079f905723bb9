// @ts-check
/** Arguments and results of any kind and of any window: copies, and what became of them. */

/** As every typed array has it: the one of Node's `Buffer` copies nothing. */
const slice = Object.getPrototypeOf(Int8Array.prototype).slice;

/** What a built-in object is, in whatever window it was made. @param {any} value */
export const kindOf = (value) => Object.prototype.toString.call(value).slice(8, -1);
/** @param {any} value */
export const isBuffer = (value) => /^(Shared)?ArrayBuffer$/.test(kindOf(value));
/** @param {any} value */
export const isPicture = (value) => kindOf(value) === "ImageData";
/** @param {any} value a buffer or a view */
export const rawOf = (value) => (isBuffer(value) ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength));

/** Whether all of an object can be seen: `{}` of any window, or without a prototype. @param {any} value */
export function isPlain(value) {
  const parent = Object.getPrototypeOf(value);
  return parent === null || Object.getPrototypeOf(parent) === null;
}

/**
 * A copy that shares no memory and has the same shape, rings included; what cannot be copied (functions, elements of the page) stays itself.
 * @param {any} value @param {Map<any, any>} [seen] copies of what it is part of @returns {any}
 */
export function copyOf(value, seen) {
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) return kindOf(value) === "DataView" ? new /** @type {any} */ (value.constructor)(rawOf(value).slice().buffer) : slice.call(value);
  if (isBuffer(value)) return value.slice(0);
  if (isPicture(value)) return new /** @type {any} */ (value.constructor)(copyOf(value.data), value.width, value.height, value);
  const list = Array.isArray(value);
  if (!list && !isPlain(value)) return value;
  if (seen?.has(value)) return seen.get(value);
  const copy = list ? value.slice() : Object.setPrototypeOf({ ...value }, Object.getPrototypeOf(value));
  seen?.set(value, copy);
  for (const key of list ? copy.keys() : Object.keys(copy)) {
    const part = copy[key];
    if (typeof part === "object") copy[key] = copyOf(part, ArrayBuffer.isView(part) ? undefined : (seen ??= new Map([[value, copy]])));
  }
  return copy;
}

/**
 * Put the contents back into what a call that failed half way was given; what was taken away stays so.
 * @param {any} value @param {any} kept a copy of what it was @param {Set<any>} [seen] @returns {any} the value; the copy where another thing is in its place
 */
export function restored(value, kept, seen = new Set()) {
  if (seen.has(value)) return value;
  if (typeof value !== "object" || Object.getPrototypeOf(value ?? 0) !== Object.getPrototypeOf(kept ?? 0)) return kept;
  seen.add(value);
  const list = Array.isArray(value);
  if (isPicture(value)) restored(value.data, kept.data);
  else if (ArrayBuffer.isView(value) || isBuffer(value)) {
    const buffer = isBuffer(value) ? value : value.buffer;
    if (buffer.detached ?? !buffer.byteLength) return value;
    if (value.byteLength !== kept.byteLength) return kept;
    rawOf(value).set(rawOf(kept));
  } else if (list || isPlain(value)) {
    if (list && value.length !== kept.length) value.length = kept.length;
    for (const key of list ? [] : Object.keys(value)) if (!Object.hasOwn(kept, key)) delete value[key];
    for (const key of list ? kept.keys() : Object.keys(kept)) {
      const part = restored(value[key], kept[key], seen);
      if (!Object.is(part, value[key])) value[key] = part;
    }
  }
  return value;
}

/** The arguments that `input` made: an array is the list of them. @param {any} made @returns {any[]} */
export const argumentsOf = (made) => (Array.isArray(made) ? made : [made]);

/** Whether a call has taken an array of its arguments away. @param {any[]} args */
export function areTakenAway(args) {
  try {
    copyOf(args);
    return false;
  } catch {
    return true;
  }
}
