// Reads {dist, sizes} on stdin; calls every kernel the way an embedding page does and writes what differed as JSON.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { near, seeded } from "../browser/web/shared/numbers.js";
import { TunedKernel } from "../browser/web/embed/tuned_kernel.js";

const { dist, sizes } = JSON.parse(readFileSync(0, "utf8"));
const manifest = JSON.parse(readFileSync(`${dist}/manifest.json`, "utf8"));
const bundles = Object.fromEntries(
  Object.entries(manifest.bundles).map(([name, { path }]) => [name, readFileSync(`${dist}/${path}`)]),
);
const MEMORY = 16 << 20;
const compile = (entry) => async (candidate) => {
  const row = entry.variants.find(({ name }) => name === candidate);
  if (!row) throw new Error(`no module ${candidate}`);
  return WebAssembly.compile(bundles[row.bundle].subarray(row.offset, row.offset + row.size));
};
const script = (name) => import(pathToFileURL(`${dist}/embed/${name}.js`).href);
const decision = (choice, log2Size = 0) => ({ choice, log2Size });
/** Decisions that choose one candidate for every size. */
const always = (entry, choice) => ({ [entry.patterns[0]]: [decision(choice)], [`${entry.patterns[0]}+copied`]: [decision(choice)] });

function differs(entry, expected, actual, results) {
  if (!near(entry.tolerance, results[0] ?? 0, results[1] ?? 0)) return `returned ${results[1]}, expected ${results[0]}`;
  for (const [i, { dir, name }] of entry.params.entries()) {
    if (dir !== "out" && dir !== "inout" && dir !== "in") continue;
    const at = expected[i].findIndex((value, k) => !near(entry.tolerance, value, actual[i][k]));
    if (at >= 0) return `${name}[${at}] is ${actual[i][at]}, expected ${expected[i][at]}`;
  }
  return undefined;
}

/** The arguments with every array (or only the first) inside the kernel's memory. */
function resident(tuned, args, onlyFirst = false) {
  let arrays = 0;
  return args.map((arg) => {
    if (!ArrayBuffer.isView(arg) || (onlyFirst && arrays++)) return arg;
    const view = tuned.arena.alloc(arg.constructor, arg.length);
    view.set(arg);
    return view;
  });
}

const problems = [];
let calls = 0;
for (const entry of manifest.kernels) {
  const module = await script(entry.name);
  for (const candidate of [...entry.baselines, ...entry.variants.map(({ name }) => name)]) {
    const tuned = new TunedKernel(entry, module, MEMORY, compile(entry), entry.patterns[0]);
    await tuned.follow(always(entry, candidate));
    if (tuned.setAside.size) problems.push(`${entry.name}/${candidate} set aside: ${[...tuned.setAside.values()]}`);
    for (const [seed, pattern] of entry.patterns.entries()) {
      for (const size of [1, 7, entry.sizes[1], entry.sizes[3]]) {
        const make = () => module.makeInput(size, pattern, seeded(seed + 1));
        const expected = make();
        const wanted = module.baselines.js(...expected);
        for (const mode of ["copied", "resident", "mixed"]) {
          tuned.arena.release();
          const args = mode === "copied" ? make() : resident(tuned, make(), mode === "mixed");
          const difference = differs(entry, expected, args, [wanted, tuned.call(...args)]);
          calls += 1;
          if (difference) problems.push(`${entry.name}/${candidate} ${mode} ${pattern} ${size}: ${difference}`);
        }
      }
    }
  }
}

/** A dispatcher over calls that return their own number: decisions for these log2 sizes, copied ones plus 100. */
async function numbered(entry, module, log2Sizes) {
  const names = [...log2Sizes.keys()].flatMap((i) => [`c${i}`, `c${i + 100}`]);
  const baselines = Object.fromEntries([["js", () => -1], ...names.map((name) => [name, () => Number(name.slice(1))])]);
  const [pattern] = entry.patterns;
  const tuned = new TunedKernel({ ...entry, baselines: names }, { ...module, baselines }, 1 << 20, compile(entry), pattern);
  const rows = (offset) => log2Sizes.map((log2Size, i) => decision(`c${i + offset}`, log2Size));
  await tuned.follow({ [pattern]: rows(0), [`${pattern}+copied`]: rows(100) });
  return tuned;
}
const dot = await script("dot");
const entry = manifest.kernels.find(({ name }) => name === "dot");
// Dispatchers are tried with memchr: one array may be of any size, and JavaScript finds its first byte at once.
const memchr = await script("memchr");
const memchrEntry = manifest.kernels.find(({ name }) => name === "memchr");
const vast = new Uint8Array(2 ** 29 + 1);
/** For each size the log2 size that is taken, where every one from 0 to 29 is decided, six at a time. */
const buckets = sizes.map(() => -1);
for (let first = 0; first <= 24; first += 4) {
  const { call } = await numbered(memchrEntry, memchr, [0, 1, 2, 3, 4, 5].map((k) => first + k));
  for (const [at, size] of sizes.entries()) {
    const taken = call(vast, 0, size) - 100;
    if ((taken > 0 || first === 0) && (taken < 5 || first === 24)) buckets[at] = first + taken;
  }
}
const measured = [];
for (const one of manifest.kernels) {
  const module = await script(one.name);
  const { call } = await numbered(one, module, one.sizes.map((size) => Math.round(Math.log2(size))));
  for (const pattern of one.patterns) {
    for (const [at, size] of one.sizes.entries()) measured.push([one.name, at + 100, call(...module.makeInput(size, pattern, seeded(1)))]);
  }
}

/** Changing decisions for both places, often more than a dispatcher has sites: what was called wrongly. */
async function changed(rounds) {
  const [names, log2Sizes] = [[...Array(20).keys()].map((i) => `c${i}`), [...Array(20).keys()]];
  const baselines = Object.fromEntries([["js", () => "js"], ...names.map((name) => [name, () => name])]);
  const tuned = new TunedKernel({ ...memchrEntry, baselines: ["js", ...names] }, { ...memchr, baselines }, 1 << 22, compile(memchrEntry), "random");
  const inside = tuned.arena.alloc(Uint8Array, 2 ** 20);
  const random = seeded(11);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const rows = () => {
    const few = Array.from({ length: 6 }, () => pick(names)); // decisions for neighbouring sizes are often alike
    return log2Sizes.filter(() => random() < 0.25).slice(0, 6).map((log2Size) => decision(random() < 0.3 ? "js" : pick(few), log2Size));
  };
  /** The row whose log2 size is nearest to the size's, which is rounded; of two the larger one's from half-way on. */
  const expected = (table, size) =>
    table.findLast(({ log2Size }, i) => i === 0 || Math.log2(size) >= Math.floor((table[i - 1].log2Size + log2Size) / 2) + 0.5)?.choice ?? "js";
  const wrong = [];
  for (let round = 0; round < rounds; round++) {
    const [resident, copied] = [rows(), rows()];
    await tuned.follow({ random: resident, "random+copied": copied });
    for (let calls = pick([0, 1, 40]); calls > 0; calls--) {
      const size = 1 + Math.floor(2 ** (20 * random()));
      for (const [array, table] of [[inside, resident], [vast, copied]]) {
        const given = tuned.call(array, 0, size);
        const [got, due] = [typeof given === "string" ? given : "js", expected(table, size)]; // the script's own js gives a number
        if (got !== due) wrong.push({ round, size, got, due, resident, copied });
      }
    }
  }
  return wrong;
}
const places = await numbered(entry, dot, [0, 4, 8, 12, 16, 20]);
const inside = places.arena.alloc(Float32Array, 8);

// What a page may get wrong, and what a server may.
const small = new TunedKernel(entry, dot, 1 << 20, compile(entry), "random");
await small.follow(always(entry, "vectorization"));
const long = new Float32Array(1 << 20).fill(1);
const hamming = manifest.kernels.find(({ name }) => name === "hamming");
const wrong = new TunedKernel(entry, dot, 1 << 20, () => compile(hamming)("scalar"), "random");
await wrong.follow(always(entry, "vectorization"));
const missing = new TunedKernel(entry, dot, 1 << 20, compile(entry), "random");
await missing.follow(always(entry, "nosuch"));
// Which sizes reach the module: those whose bucket is nearer to 64, then all, then none.
let reached = 0;
const counting = (run, arena, hooks, outside) => {
  const call = dot.bind.vectorization(run, arena, hooks, outside);
  return (...args) => ((reached += 1), call(...args));
};
const swapped = new TunedKernel(entry, { ...dot, bind: { vectorization: counting } }, 1 << 20, compile(entry), "random");
const followed = [];
for (const rows of [[decision("js", 4), decision("vectorization", 6)], [decision("vectorization")], [decision("js")]]) {
  await swapped.follow({ random: rows });
  followed.push([1, 45, 46, 64].filter((size) => {
    const before = reached;
    swapped.call(new Float32Array(size), new Float32Array(size));
    return reached > before;
  }));
}
// Where the tables of the two places differ, JavaScript's share of one is not the other's.
await swapped.follow({ random: [decision("js", 4), decision("vectorization", 6)], "random+copied": [decision("vectorization")] });
const apart = [1, 64].flatMap((size) =>
  [(length) => swapped.arena.alloc(Float32Array, length), (length) => new Float32Array(length)].map((make) => {
    const before = reached;
    swapped.call(make(size), make(size));
    return reached > before;
  }),
);
// A module for arrays in its memory, something else for others: the first array says which.
const split = new TunedKernel(
  { ...entry, baselines: ["js", "other"] }, { ...dot, baselines: { ...dot.baselines, other: () => -1 } }, 1 << 20, compile(entry), "random",
);
await split.follow({ random: [decision("vectorization")], "random+copied": [decision("other")] });
const [one, two] = [4, 4].map((length) => split.arena.alloc(Float32Array, length).fill(1));
const other = new Float32Array(4).fill(1);
const bySplit = [[one, two], [one.subarray(1), two], [one, other], [other, one], [other, other], [long.subarray(0, 4), one]].map((args) => split.call(...args));
// Sites are filled for the sizes that are called, and those below them.
let filled = 0;
let asked = 0; // of them ask where arrays lie
const placed = (arena, to, outside) => ((filled += 1), (asked += Number(outside !== undefined)), memchr.placed(arena, to, outside));
const counted = { ...memchr, placed };
const ordinary = await numbered(memchrEntry, counted, [0, 4]);
const unasked = [ordinary.call(vast, 0, 1), ordinary.call(vast, 0, 16), asked];
const allocated = ordinary.arena.alloc(Uint8Array, 16);
unasked.push(ordinary.call(allocated, 0, 16), ordinary.call(vast, 0, 16), asked);
filled = 0;
const idle = new TunedKernel(memchrEntry, counted, 1 << 20, compile(memchrEntry), "early");
await idle.follow(always(memchrEntry, "js"));
idle.arena.alloc(Uint8Array, 1);
const lazy = await numbered(memchrEntry, counted, [0, 4, 8, 12, 16, 20]);
lazy.arena.alloc(Uint8Array, 1);
const bySize = [-1, 1, 1, 300, 16, 1 << 20, 2 ** 29].map((size) => {
  if (size > 0) lazy.call(vast, 0, size);
  return filled;
});
/** The error's name. @param {() => unknown} work */
const thrown = (work) => {
  try {
    return work();
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};
const edges = {
  followed, apart, bySplit, bySize, unasked,
  insideTable: [inside, inside.subarray(2)].map((array) => places.call(array, inside, 4)),
  outsideTable: places.call(new Float32Array(4), inside, 4),
  tooLong: small.call(long, long), plainArrays: thrown(() => small.call([1, 2, 3], [4, 5, 6])), lengthLeftOut: small.call(Float32Array.of(1, 2), Float32Array.of(3, 4)),
  wrong: [...wrong.setAside], wrongGives: wrong.call(Float32Array.of(2), Float32Array.of(3)),
  missing: [...missing.setAside], missingGives: missing.call(Float32Array.of(2), Float32Array.of(3)),
};
process.stdout.write(JSON.stringify({ problems, calls, buckets, measured, edges, changed: (await changed(400)).slice(0, 3) }));
