// @ts-check
/** Input sets: made from a seed, laid out for JavaScript or in a module's memory, and compared after a call. */
import { near, seeded } from "./compare.js";

/**
 * What a timing loop needs for one call (see kernels_wasm/scripts.py).
 * @typedef {{args: any[], resets: [any, any][], inputs: [any, any][], outputs: [any, any][]}} InputSet
 */

const PAGE = 65536;
const ALIGNMENT = 64;
/** Between arrays, so that equal offsets of two arrays are not a multiple of 4 KiB apart (store-to-load aliasing). */
const STAGGER = 192;
/** Small inputs come in many different sets, so that a branch predictor cannot learn them; large ones teach it nothing. */
const SETS_BYTES = 1 << 17;
const MAX_SETS = 32;

/** @param {number} bytes */
const aligned = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
/** @param {unknown} value @returns {value is Float32Array} any typed array */
const isArray = (value) => ArrayBuffer.isView(value);

/**
 * Arguments for several calls, as the kernel's own maker gives them.
 * @param {(size: number, pattern: string, random: () => number) => any[]} makeInput
 * @param {number} size @param {string} pattern @param {number} seed
 */
export function inputSets(makeInput, size, pattern, seed) {
  const random = seeded(seed);
  const sets = [makeInput(size, pattern, random)];
  const bytes = sets[0].reduce((sum, value) => sum + (isArray(value) ? value.byteLength : 0), 0);
  const count = Math.max(1, Math.min(MAX_SETS, Math.floor(SETS_BYTES / Math.max(bytes, 1))));
  while (sets.length < count) sets.push(makeInput(size, pattern, random));
  return sets;
}

/** Bytes that the arrays of one call take in a module's memory. @param {any[]} input */
export function extent(input) {
  return input.reduce((sum, value) => sum + (isArray(value) ? aligned(value.byteLength) + STAGGER + ALIGNMENT : 0), 0);
}

/** For a JavaScript candidate: copies of its own, so that no candidate sees another's writes. @param {any} entry @param {any[][]} inputs @returns {InputSet[]} */
export function scriptSets(entry, inputs) {
  return inputs.map((input) => {
    const args = input.map((value) => (isArray(value) ? value.slice() : value));
    return { args, resets: pairs(entry, ["inout"], args, input), inputs: [], outputs: [] };
  });
}

/**
 * For a module: arrays from `dataEnd` on, each aligned. Resident: every set has a place of its own and holds its
 * inputs. Copied: all sets share one place, as a caller's staging area would be, and the arrays are JavaScript's.
 * `results` are, per set, the arrays as they are after a call.
 * @param {any} entry @param {any[][]} inputs @param {WebAssembly.Memory} memory @param {boolean} copied
 * @param {number} [base] where the arrays begin
 */
export function layout(entry, inputs, memory, copied, base = aligned(entry.dataEnd)) {
  let at = base;
  let end = at;
  const places = inputs.map((input) => {
    if (copied) at = base;
    const offsets = input.map((value) => {
      if (!isArray(value)) return value;
      const offset = at;
      at = aligned(at + value.byteLength) + STAGGER;
      return offset;
    });
    end = Math.max(end, at);
    return offsets;
  });
  const missing = Math.ceil((end - memory.buffer.byteLength) / PAGE);
  if (missing > 0) memory.grow(missing);
  new Uint8Array(memory.buffer, base, end - base).fill(0);

  /** @type {any[][]} */
  const results = [];
  const sets = inputs.map((input, i) => {
    const args = places[i];
    const views = input.map((value, k) =>
      isArray(value) ? new /** @type {any} */ (value.constructor)(memory.buffer, args[k], value.length) : value,
    );
    results.push(views);
    if (!copied) {
      views.forEach((view, k) => isArray(view) && view.set(input[k]));
      return { args, resets: pairs(entry, ["inout"], views, input), inputs: [], outputs: [] };
    }
    const own = input.map((value) => (isArray(value) ? value.slice() : value));
    return {
      args,
      resets: pairs(entry, ["inout"], own, input),
      inputs: pairs(entry, ["in", "inout"], views, own),
      outputs: pairs(entry, ["out", "inout"], own, views),
    };
  });
  return { sets, results };
}

/**
 * What differs between a candidate's call and the baseline's, in words; undefined if nothing does.
 * `expected` and `actual` are the arguments after the call, with the returned value last.
 * @param {any} entry @param {any[]} input @param {any[]} expected @param {any[]} actual
 */
export function compare(entry, input, expected, actual) {
  const { params, returns, tolerance } = entry;
  for (const [i, { name, dir }] of params.entries()) {
    if (!isArray(input[i]) || dir === "scratch") continue;
    const written = dir !== "in";
    const wanted = written ? expected[i] : input[i];
    const k = firstDifference(wanted, actual[i], written ? tolerance : EXACT);
    if (k < 0) continue;
    if (!written) return `it changed its input ${name}[${k}]`;
    return `${name}[${k}] is ${actual[i][k]}, JavaScript gives ${wanted[k]}`;
  }
  if (returns === null || returns === "void") return undefined;
  const wanted = returned(returns, expected[params.length]);
  const got = returned(returns, actual[params.length]);
  return near(tolerance, wanted, got) ? undefined : `it returns ${got}, JavaScript ${wanted}`;
}

const EXACT = { relative: 0, absolute: 0 };

/** @param {Float32Array} wanted @param {Float32Array} got @param {{relative: number, absolute: number}} tolerance */
function firstDifference(wanted, got, tolerance) {
  for (let k = 0; k < wanted.length; k++) if (!near(tolerance, wanted[k], got[k])) return k;
  return -1;
}

/** A returned number as its declared type: modules return u32 as a negative i32. @param {string} type @param {any} value */
function returned(type, value) {
  if (type === "u32") return Number(value) >>> 0;
  if (type === "i32") return Number(value) | 0;
  return type === "f32" ? Math.fround(value) : Number(value);
}

/** [to[i], from[i]] for every array parameter of one of these directions. @param {any} entry @param {string[]} directions @param {any[]} to @param {any[]} from @returns {[any, any][]} */
function pairs(entry, directions, to, from) {
  return entry.params.flatMap((/** @type {any} */ { dir }, /** @type {number} */ i) =>
    isArray(from[i]) && directions.includes(dir) ? [[to[i], from[i]]] : [],
  );
}
