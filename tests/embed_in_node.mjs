// Reads {dist, sizes} on stdin; calls every kernel the way an embedding page does and writes what differed as JSON.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { near, seeded } from "../browser/web/compare.js";
import { TunedKernel } from "../browser/web/tuned_kernel.js";

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

/** Which of the 32 calls the dispatcher takes: each returns its own number, resident ones plus 100. */
function bucketsOf(module, buffer) {
  const numbers = (offset) => Array.from({ length: 32 }, (_, k) => () => k + offset);
  return module.dispatcher(numbers(100), numbers(0), buffer, { js: 0 });
}
const dot = await script("dot");
const inside = new Float32Array(4);
const dispatch = bucketsOf(dot, inside.buffer);
const buckets = sizes.map((size) => dispatch(new Float32Array(0), new Float32Array(0), size));
const measured = [];
for (const entry of manifest.kernels) {
  const module = await script(entry.name);
  const call = bucketsOf(module, new ArrayBuffer(0));
  for (const pattern of entry.patterns) {
    for (const size of entry.sizes) measured.push([entry.name, size, call(...module.makeInput(size, pattern, seeded(1)))]);
  }
}

// What a page may get wrong, and what a server may.
const entry = manifest.kernels.find(({ name }) => name === "dot");
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
const counting = (run, arena, fallback) => {
  const call = dot.bind.vectorization(run, arena, fallback);
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
const edges = {
  followed,
  insideTable: dispatch(inside, inside, 4), outsideTable: dispatch(new Float32Array(4), inside, 4),
  tooLong: small.call(long, long), plainArrays: small.call([1, 2, 3], [4, 5, 6]), lengthLeftOut: small.call(Float32Array.of(1, 2), Float32Array.of(3, 4)),
  wrong: [...wrong.setAside], wrongGives: wrong.call(Float32Array.of(2), Float32Array.of(3)),
  missing: [...missing.setAside], missingGives: missing.call(Float32Array.of(2), Float32Array.of(3)),
};
process.stdout.write(JSON.stringify({ problems, calls, buckets, measured, edges }));
