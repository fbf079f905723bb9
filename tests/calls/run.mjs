// @ts-check
/**
 * Makes cases (generate.py) the way pages make calls, for every candidate by every way, in Node and in browsers.
 * Nothing of the product but TunedKernel and the generated scripts is used: results, canaries and untouched elements are
 * compared here.
 */

const CANARY = 0xa5;
const EDGE = 64; // bytes of canary on both sides of every buffer
const PAGE_BYTES = 1 << 22;
const FEW_BYTES = 1 << 12; // fewer than the arrays of some calls take
export const WAYS = ["copied", "resident", "first inside", "rest inside", "part inside", "link", "changed", "beside", "growing"];

/** @param {string} text */
function bytesOf(text) {
  const raw = atob(text);
  return Uint8Array.from({ length: raw.length }, (_, i) => raw.charCodeAt(i));
}
/** @param {string} text */
const doublesOf = (text) => new Float64Array(bytesOf(text).buffer);
/** @param {any} given */
const numberOf = (given) => (given === null ? undefined : typeof given === "object" ? (given.text ?? Number(given.special)) : given);
/** @param {string} type @returns {any} */
const typeOf = (type) => /** @type {any} */ (globalThis)[type];

/** @type {Map<string, any>} */
const classes = new Map();
/** A class of arrays with methods of its own (`slice` gives a view, as that of Node's Buffer does) and properties that tell lies. @param {string} type */
function ownClass(type) {
  if (!classes.has(type)) {
    const made = class extends typeOf(type) {
      get length() {
        return 1 << 20;
      }
      get byteOffset() {
        return 8;
      }
      get buffer() {
        return new ArrayBuffer(64);
      }
      slice(/** @type {number} */ from, /** @type {number} */ to) {
        return super.subarray(from, to);
      }
      set() {}
      fill() {}
    };
    classes.set(type, made);
  }
  return classes.get(type);
}

/** @param {number} expected @param {number} bound @param {number} actual */
function within(expected, bound, actual) {
  if (expected === actual || (Number.isNaN(expected) && Number.isNaN(actual)) || bound === Infinity) return true;
  return Math.abs(expected - actual) <= bound || Math.fround(expected) === actual;
}

/** A buffer of one kind, all canary. @param {string} kind @param {number} bytes */
function bufferOf(kind, bytes) {
  let buffer;
  if (kind === "shared" && typeof SharedArrayBuffer === "function") buffer = new SharedArrayBuffer(bytes);
  else if (kind === "growable" && "grow" in (globalThis.SharedArrayBuffer?.prototype ?? {})) buffer = new /** @type {any} */ (SharedArrayBuffer)(bytes, { maxByteLength: bytes + 64 });
  else if (kind === "resizable" && "resizable" in ArrayBuffer.prototype) buffer = new /** @type {any} */ (ArrayBuffer)(bytes, { maxByteLength: bytes + 64 });
  else buffer = new ArrayBuffer(bytes);
  new Uint8Array(buffer).fill(CANARY);
  return buffer;
}

/**
 * The arguments of a case, each array in the kernel's memory or not: `{args, regions, placed}`; a region is the bytes that one
 * buffer of the case takes, canaries included; `placed` says where each array begins.
 * @param {any} one @param {any} tuned @param {(index: number) => string} place "outside", "inside" (from alloc) or "part" (of an alloc)
 */
function place(one, tuned, place) {
  /** @type {Map<number, {at: number, specs: [number, any][], bytes: number, buffer?: any, base: number}>} */
  const buffers = new Map();
  for (const [i, spec] of one.args.entries()) {
    if (!spec?.type || spec.type === "Array") continue;
    const known = buffers.get(spec.buffer) ?? { at: 0, specs: [], bytes: 0, base: 0 };
    known.specs.push([i, spec]);
    known.bytes = Math.max(known.bytes, spec.at + spec.length * typeOf(spec.type).BYTES_PER_ELEMENT);
    buffers.set(spec.buffer, known);
  }
  /** @type {any[]} */
  const args = one.args.map((/** @type {any} */ spec) => {
    if (spec?.type === "Array") return [...new (typeOf("Uint8Array"))(bytesOf(spec.data).slice(0, spec.length))];
    return spec?.type ? undefined : numberOf(spec?.number ?? null);
  });
  const regions = [];
  /** @type {{buffer: any, from: number}[]} */
  const placed = [];
  for (const [, known] of buffers) {
    const [[first, { kind, type, length, at }]] = known.specs;
    const where = place(first);
    const alone = known.specs.every(([, spec]) => spec.type === type && spec.length === length && spec.at === at);
    if (where === "outside") {
      known.buffer = bufferOf(kind, known.bytes + 2 * EDGE);
      known.base = EDGE;
    } else if (where === "inside" && alone) {
      // Exactly what a page gets from alloc, between canaries of alloc.
      tuned.arena.alloc(Uint8Array, EDGE).fill(CANARY);
      const view = tuned.arena.alloc(typeOf(type), length);
      tuned.arena.alloc(Uint8Array, EDGE).fill(CANARY);
      args[first] = view;
      known.buffer = view.buffer;
      known.base = view.byteOffset - at;
    } else {
      const region = tuned.arena.alloc(Uint8Array, known.bytes + 2 * EDGE).fill(CANARY);
      known.buffer = region.buffer;
      known.base = region.byteOffset + EDGE;
    }
    for (const [i, spec] of known.specs) {
      placed[i] = { buffer: known.buffer, from: known.base + spec.at };
      const Type = spec.own ? ownClass(spec.type) : typeOf(spec.type);
      new Uint8Array(known.buffer, known.base + spec.at, spec.length * Type.BYTES_PER_ELEMENT).set(bytesOf(spec.data));
      args[i] ??= (alone ? args[first] : undefined) ?? new Type(known.buffer, known.base + spec.at, spec.length);
      // Not of what alloc gave: that one is read through its Proxy.
      if (spec.proxied) args[i] = new Proxy(new Type(known.buffer, known.base + spec.at, spec.length), { get: (array, key) => array[key] });
    }
    const begin = Math.min(...known.specs.map(([, spec]) => spec.at));
    regions.push({ buffer: known.buffer, from: known.base + begin - EDGE, to: known.base + known.bytes + EDGE });
  }
  if (one.leftOut) args.pop();
  return { args, regions, placed };
}

/** What a call did against what it must do; undefined if nothing is wrong. @param {any} one @param {any} entry @param {any} tuned @param {(i: number) => string} where */
export function attempt(one, entry, tuned, where) {
  const { args, regions, placed } = place(one, tuned, where);
  const before = regions.map(({ buffer, from, to }) => new Uint8Array(buffer, from, to - from).slice());
  let result;
  try {
    result = tuned.call(...args);
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    if (name !== one.error) return `throws ${name} (${message}), expected ${one.error ?? one.result ?? "an answer"}`;
    return changedOutside(regions, before, []);
  }
  if (one.error) return `gives ${result}, expected ${one.error}`;
  if (entry.returns !== "void") {
    const wanted = numberOf(one.result);
    if (!within(wanted, numberOf(one.bound), result)) return `returns ${result}, expected ${wanted}`;
  } else if (result !== undefined) return `returns ${result}, expected nothing`;
  /** @type {{buffer: any, from: number, to: number}[]} */
  const written = [];
  for (const [i, { name, dir }] of entry.params.entries()) {
    if (!["out", "inout", "scratch"].includes(dir)) continue;
    const array = args[i];
    const { buffer, from } = placed[i];
    written.push({ buffer, from, to: from + one.needs[name] * array.BYTES_PER_ELEMENT });
    if (dir === "scratch") continue;
    const [values, bounds] = [doublesOf(one.outputs[name].values), doublesOf(one.outputs[name].bound)];
    for (let k = 0; k < values.length; k++) {
      if (!within(values[k], bounds[k], array[k])) return `${name}[${k}] is ${array[k]}, expected ${values[k]} ± ${bounds[k]}`;
    }
  }
  return changedOutside(regions, before, written);
}

/** @param {any[]} regions @param {Uint8Array[]} before @param {any[]} written */
function changedOutside(regions, before, written) {
  for (const [r, { buffer, from, to }] of regions.entries()) {
    const now = new Uint8Array(buffer, from, to - from);
    for (let k = 0; k < now.length; k++) {
      if (now[k] === before[r][k]) continue;
      const at = from + k;
      if (!written.some((span) => span.buffer === buffer && span.from <= at && at < span.to)) {
        return `changed byte ${k - EDGE} of what it must leave alone (${before[r][k]} → ${now[k]})`;
      }
    }
  }
  return undefined;
}

const INSIDE = {
  copied: () => "outside",
  growing: () => "outside",
  resident: () => "inside",
  "first inside": (/** @type {number} */ i, /** @type {number} */ first) => (i === first ? "inside" : "outside"),
  "rest inside": (/** @type {number} */ i, /** @type {number} */ first) => (i === first ? "outside" : "inside"),
  "part inside": () => "part",
};

const NO_ROOM = /no room to copy/;

/**
 * Whether the candidate made a call, and `explain` would say so.
 * @param {any} entry @param {any} tuned @param {string} candidate @param {string} way @param {boolean} ran whether a module did
 */
function notAsSaid(entry, tuned, candidate, way, ran) {
  const alone = way !== "link" && way !== "beside"; // no size goes to another
  const ofModule = (/** @type {string} */ name) => !entry.baselines.includes(name);
  if (way === "growing" && entry.own && NO_ROOM.test(tuned.last.why)) return ran ? "a module ran" : undefined; // its memory is its own
  if (alone && ran !== ofModule(candidate)) return ran ? "a module ran" : "no module ran";
  const last = tuned.last;
  if (!last || last.why) return undefined; // a dispatcher that keeps no account, or another answered for a reason
  return ran !== ofModule(last.variant) || (alone && last.variant !== candidate) ? `explain says ${last.variant}` : undefined;
}

/**
 * One kernel's candidates, each behind dispatchers as pages have them.
 * @param {any} world {TunedKernel, load(entry), script(name), kept, modulesRan}: `modulesRan` counts calls of modules, where that is known; so many dispatchers are used again; each has a memory, and Chromium
 *   reserves 8 GiB of a page's 1 TiB of addresses for each
 */
export function runner({ TunedKernel, load, script, kept = Infinity, modulesRan }) {
  /** @type {Map<string, any>} */
  const made = new Map();
  const memo = (/** @type {string} */ key, /** @type {() => Promise<any>} */ make) => {
    if (!made.has(key)) made.set(key, make());
    const [oldest] = made.keys();
    if (made.size > kept) made.delete(oldest);
    return made.get(key);
  };

  /** Tables of decisions for both places. @param {any} entry @param {any[]} rows */
  const tables = (entry, rows) => ({ [entry.patterns[0]]: rows, [`${entry.patterns[0]}+copied`]: rows });

  /** @param {any} entry @param {string} candidate @param {string} way */
  async function tunedFor(entry, candidate, way) {
    const module = await script(entry.name);
    const tuned = new TunedKernel(entry, module, way === "growing" ? FEW_BYTES : PAGE_BYTES, load(entry), entry.patterns[0]);
    const only = (/** @type {string} */ choice) => tables(entry, [{ choice, log2Size: 0 }]);
    if (way === "link") {
      // The candidate's turn comes at each position of the chain, between two others.
      const others = [...entry.baselines, ...entry.variants.map((/** @type {any} */ v) => v.name)].filter((name) => name !== candidate);
      const rows = [0, 2, 4, 6, 8, 10].map((log2Size, i) => ({ log2Size, choice: i % 2 ? candidate : others[i % others.length] }));
      await tuned.follow(tables(entry, rows));
    } else if (way === "changed") {
      const [other] = entry.variants.map((/** @type {any} */ v) => v.name).filter((/** @type {string} */ name) => name !== candidate);
      await tuned.follow(only(other ?? "js"));
      await tuned.follow(only(candidate));
    } else if (way === "beside") {
      // Another candidate is missing and is set aside.
      await tuned.follow(tables(entry, [{ choice: candidate, log2Size: 0 }, { choice: "nosuch", log2Size: 29 }]));
      tuned.setAside.delete("nosuch");
    } else await tuned.follow(only(candidate));
    return tuned;
  }

  /**
   * Runs cases: how many calls, and what was wrong.
   * @param {any[]} cases @param {any} entryOf by kernel name @param {{every?: number, most?: number, stop?: boolean}} [options] every: of candidate × way, one in so many a case; stop: at the first that is wrong
   */
  return async function run(cases, entryOf, { every = 1, most = 40, stop = false } = {}) {
    /** @type {any[]} */
    const wrong = [];
    const candidates = new Set();
    const ways = new Set();
    const kernels = new Set();
    let calls = 0;
    for (const [made, one] of cases.entries()) {
      const entry = entryOf[one.kernel];
      const first = entry.params.findIndex((/** @type {any} */ p) => p.dir);
      const names = [...entry.baselines, ...entry.variants.map((/** @type {any} */ v) => v.name)];
      let turn = one.id;
      for (const candidate of names) {
        for (const way of WAYS) {
          if (turn++ % every) continue;
          const tuned = await memo(`${one.kernel} ${candidate} ${way}`, () => tunedFor(entry, candidate, way));
          let problem = tuned.setAside.size ? `set aside: ${[...tuned.setAside.values()]}` : undefined;
          tuned.arena.release();
          const where = entry.memory ? INSIDE.copied : /** @type {any} */ (INSIDE)[way] ?? (turn % 2 ? INSIDE.resident : INSIDE.copied);
          const before = modulesRan?.();
          problem ??= attempt(one, entry, tuned, (i) => where(i, first)) ?? (tuned.setAside.size ? `was set aside: ${[...tuned.setAside.values()]}` : undefined);
          if (!problem && !one.error && modulesRan) problem = notAsSaid(entry, tuned, candidate, way, modulesRan() > before);
          calls++;
          candidates.add(`${one.kernel}/${candidate}`);
          ways.add(way);
          kernels.add(one.kernel);
          if (problem && wrong.length < most) wrong.push({ case: one.id, nth: made + 1, kernel: one.kernel, candidate, way, tags: one.tags, problem });
          if (problem && stop) return { calls, kernels: [...kernels], candidates: [...candidates], ways: [...ways], wrong };
        }
      }
    }
    return { calls, kernels: [...kernels], candidates: [...candidates], ways: [...ways], wrong };
  };
}
