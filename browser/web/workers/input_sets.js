// @ts-check
/** The inputs of benchmarks: made from a seed, laid out for JavaScript or in a module's memory, compared after a call. */
/** @import { CallArena, Direction, InputSet, KernelEntry, MakeInput, Returned, TypedArray, Value } from "../shared/wire" */
import { ALIGNMENT, STAGGER, aligned } from "../shared/arena.js";
import { near, seeded } from "../shared/numbers.js";

/** Bytes of all sets: small inputs come in many sets, which a branch predictor cannot learn. */
const SETS_BYTES = 1 << 17;
const MAX_SETS = 32;

/** @param {Value} value @returns {value is TypedArray} */
const isArray = (value) => ArrayBuffer.isView(value);

/**
 * Arguments for several calls.
 * @param {MakeInput} makeInput @param {number} size @param {string} pattern @param {number} seed
 */
export function inputSets(makeInput, size, pattern, seed) {
  const random = seeded(seed);
  const sets = [makeInput(size, pattern, random)];
  const bytes = sets[0].reduce((/** @type {number} */ sum, value) => sum + (isArray(value) ? value.byteLength : 0), 0);
  const count = Math.max(1, Math.min(MAX_SETS, Math.floor(SETS_BYTES / Math.max(bytes, 1))));
  while (sets.length < count) sets.push(makeInput(size, pattern, random));
  return sets;
}

/** Fill the arrays that are only written with numbers, so that what a candidate leaves alone shows. @param {KernelEntry} entry @param {Value[][]} inputs @param {number} seed */
export function fillOutputs(entry, inputs, seed) {
  const random = seeded(~seed);
  for (const array of inputs.flatMap((input) => input.filter((_, i) => entry.params[i].dir === "out"))) {
    if (isArray(array)) for (let i = 0; i < array.length; i++) array[i] = 1 + 99 * random();
  }
}

/** The bytes that the arrays of one call take in a module's memory. @param {Value[]} input */
export function extent(input) {
  return input.reduce((/** @type {number} */ sum, value) => sum + (isArray(value) ? aligned(value.byteLength) + STAGGER + ALIGNMENT : 0), 0);
}

/** For a JavaScript candidate: its own copies, so that it does not see another's writes. @param {KernelEntry} entry @param {Value[][]} inputs @returns {InputSet[]} */
export function scriptSets(entry, inputs) {
  return inputs.map((input) => {
    const args = input.map((value) => (isArray(value) ? value.slice() : value));
    return { args, resets: pairs(entry, ["inout"], args, input), inputs: [], outputs: [] };
  });
}

/**
 * For a module: aligned arrays from `room.base` on. Resident: every set has its own place, which holds its inputs. Copied:
 * all sets share one place, like a caller's staging area, and the arrays are JavaScript's. `results` are the arrays of
 * each set after a call.
 * @param {KernelEntry} entry @param {Value[][]} inputs @param {CallArena} room @param {boolean} copied
 */
export function layout(entry, inputs, room, copied) {
  let at = room.base;
  let end = at;
  const places = inputs.map((input) => {
    if (copied) at = room.base;
    const offsets = input.map((value) => {
      if (!isArray(value)) return value;
      const offset = at;
      at = aligned(at + value.byteLength) + STAGGER;
      return offset;
    });
    end = Math.max(end, at);
    return offsets;
  });
  if (!room.reach(end)) throw new Error(`its memory has no room for ${end - room.base} bytes of arguments`);
  const { buffer } = room;
  new Uint8Array(buffer, room.base, end - room.base).fill(0);

  /** @type {Value[][]} */
  const results = [];
  const sets = inputs.map((input, i) => {
    const args = places[i];
    const views = input.map((value, k) => (isArray(value) ? like(value, buffer, args[k]) : value));
    results.push(views);
    if (!copied) {
      for (const [view, values] of pairs(entry, DIRECTIONS, views, input)) view.set(values);
      return { args, resets: pairs(entry, ["inout"], views, input), inputs: [], outputs: [] };
    }
    const own = input.map((value) => (isArray(value) ? value.slice() : value));
    return {
      args,
      resets: pairs(entry, ["inout"], own, input),
      // As the binders do: an operator's module may write only part of an array.
      inputs: pairs(entry, entry.own ? ["in", "inout", "out"] : ["in", "inout"], views, own),
      outputs: pairs(entry, ["out", "inout"], own, views),
    };
  });
  return { sets, results };
}

/**
 * The first difference between a candidate's call and the baseline's, in words; undefined if there is none.
 * @typedef {{args: Value[], returned: Returned}} Outcome the arguments after a call, and what it returned
 * @param {KernelEntry} entry @param {Value[]} input @param {Outcome} expected @param {Outcome} actual
 */
export function compare(entry, input, expected, actual) {
  const { params, returns, tolerance } = entry;
  for (const [i, { name, dir }] of params.entries()) {
    const [before, given] = [input[i], actual.args[i]];
    if (!isArray(before) || !isArray(given) || dir === "scratch") continue;
    const written = dir !== "in";
    const wanted = written ? /** @type {TypedArray} */ (expected.args[i]) : before;
    const k = firstDifference(wanted, given, written ? tolerance : EXACT);
    if (k < 0) continue;
    if (!written) return `it changed its input ${name}[${k}]`;
    return `${name}[${k}] is ${given[k]}, JavaScript gives ${wanted[k]}`;
  }
  if (returns === null || returns === "void") return undefined;
  const wanted = asType(returns, expected.returned);
  const got = asType(returns, actual.returned);
  return near(tolerance, wanted, got) ? undefined : `it returns ${got}, JavaScript ${wanted}`;
}

const EXACT = { relative: 0, absolute: 0 };
/** @type {readonly Direction[]} */
const DIRECTIONS = ["in", "out", "inout", "scratch"];

/** @param {TypedArray} wanted @param {TypedArray} got @param {{relative: number, absolute: number}} tolerance */
function firstDifference(wanted, got, tolerance) {
  for (let k = 0; k < wanted.length; k++) if (!near(tolerance, wanted[k], got[k])) return k;
  return -1;
}

/** A returned number as its declared type: modules return a large u32 as a negative i32. @param {string} type @param {Returned} value */
function asType(type, value) {
  if (type === "u32") return Number(value) >>> 0;
  if (type === "i32") return Number(value) | 0;
  return type === "f32" ? Math.fround(Number(value)) : Number(value);
}

/**
 * [to[i], from[i]] for every array parameter of one of these directions.
 * @param {KernelEntry} entry @param {readonly Direction[]} directions @param {Value[]} to @param {Value[]} from
 */
function pairs(entry, directions, to, from) {
  /** @type {[TypedArray, TypedArray][]} */
  const found = [];
  for (const [i, { dir }] of entry.params.entries()) {
    const [target, source] = [to[i], from[i]];
    if (dir && directions.includes(dir) && isArray(target) && isArray(source)) found.push([target, source]);
  }
  return found;
}

/** An array of the same type and length elsewhere. @param {TypedArray} array @param {ArrayBuffer} buffer @param {number} offset @returns {TypedArray} */
function like(array, buffer, offset) {
  const Type = /** @type {new (buffer: ArrayBuffer, offset: number, length: number) => TypedArray} */ (array.constructor);
  return new Type(buffer, offset, array.length);
}
