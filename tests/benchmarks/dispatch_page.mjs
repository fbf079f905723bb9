// @ts-check
/**
 * What the benchmark runs in the embedding page (tests/benchmarks/dispatch.py says what it means).
 * Served by the embedding page's own server, beside loops: policies forbid making code in a page.
 */
const SETS_BYTES = 1 << 16;
const MAX_SETS = 8; // small inputs vary, so that no branch predictor learns them
const NEAR = 1.4;
const ROUNDS = 8; // many short batches: on a busy machine some are left alone
const FIRST_ROUNDS = 4; // to find the fastest only
const LONG_MS = 3; // of a batch
const LONG_STEPS = 8; // of the clock, that a batch lasts at least
const FINE = 1 / 16; // of a step: how long calls go on without a look at the clock
const [WARM_TURNS, WARM_CALLS] = [40, 2000];
let made = 0;
let sink = 0;

/**
 * ms a call, of a batch that begins and ends with a step of the clock.
 * @param {{work: Function, n: number}} one `n`: calls between two looks at the clock @param {number} ms @param {number} step of the clock
 */
function timed(one, ms, step) {
  const before = performance.now();
  let began = before;
  while (began === before) began = performance.now();
  let calls = 0;
  let took = 0;
  while (took < ms) {
    sink += one.work(one.n) || 0;
    calls += one.n;
    took = performance.now() - began;
  }
  one.n = Math.max(1, Math.floor((calls * step * FINE) / took));
  return took / calls;
}

/**
 * The least time of a call, ms: batches of all in turn; long ones for `kept` and for what is near the best.
 * @param {Function[]} works @param {number[]} kept indices @param {number} step of the clock, ms @param {number} rounds
 */
function least(works, kept, step, rounds) {
  const all = works.map((work) => ({ work, n: 1, best: Infinity }));
  const long = Math.max(LONG_MS, LONG_STEPS * step);
  for (const one of all) {
    // Compilers are at work meanwhile, and the first batch finds how many calls go between two looks at the clock.
    for (let i = 0; i < 4; i++) one.best = Math.min(timed(one, Math.max(LONG_MS, 3 * step), step), one.best);
  }
  const bound = NEAR * Math.min(...all.map(({ best }) => best));
  const near = all.filter(({ best }, i) => kept.includes(i) || best <= bound);
  for (const one of near) one.best = Infinity;
  for (let round = 0; round < rounds; round++) for (const one of near) one.best = Math.min(one.best, timed(one, long, step));
  return all.map(({ best }) => best);
}

/** A loop of its own text for each callee: one text for all would share type feedback. @param {number} arity */
async function loop(arity) {
  const args = Array.from({ length: arity }, (_, i) => `s[${i}]`).join(", ");
  const body = `let t = 0; for (let i = 0, k = 0; i < n; i++) { const s = sets[k]; t += +f(${args}); k = k + 1 === sets.length ? 0 : k + 1; } return t;`;
  const text = `export const loop = (f, sets) => function l${made++}(n) { ${body} };`;
  return (await import(`${location.origin}/loop.js?${encodeURIComponent(text)}`)).loop;
}

/** What a page calls kernels with. @param {any} tuner */
async function parts(tuner) {
  const [manifest, { TunedKernel }, { Arena }, { inputSets }, { clockStep }] = await Promise.all([
    fetch(`${tuner.server}api/kernels`).then((response) => response.json()),
    import(`${tuner.server}static/embed/tuned_kernel.js`),
    import(`${tuner.server}static/shared/arena.js`),
    import(`${tuner.server}static/workers/input_sets.js`),
    import(`${tuner.server}static/shared/timing.js`),
  ]);
  const root = new URL(manifest.root, tuner.server).href;
  /** @param {string} kernel @param {string} name */
  const compile = (kernel, name) => WebAssembly.compileStreaming(fetch(`${root}embed/${kernel}/${encodeURIComponent(name)}.wasm`));
  return { manifest, TunedKernel, Arena, inputSets, clockStep, root, compile };
}

/** A dispatched call less a call of the chosen module's own export, same arrays. @param {any} tuner */
export async function overhead(tuner) {
  const { manifest, clockStep, root, compile } = await parts(tuner);
  const call = await tuner.kernel("dot");
  const [x, y] = [0, 1].map(() => tuner.alloc("dot", Float32Array, 8).fill(1));
  const { variant } = tuner.explain("dot", { size: 8 });
  const entry = manifest.kernels.find((kernel) => kernel.name === "dot");
  let direct = (await import(`${root}embed/dot.js#overhead`)).baselines[variant];
  let given = [x, y, 8];
  if (!direct) {
    const memory = new WebAssembly.Memory({ initial: 64 });
    direct = (await WebAssembly.instantiate(await compile("dot", variant), { env: { memory } })).exports.run;
    given = [entry.dataEnd, entry.dataEnd + 64, 8];
  }
  const [own, dispatched] = [(await loop(3))(direct, [given]), (await loop(3))(call, [[x, y, 8]])];
  const step = await clockStep();
  const [one, two] = [0, 1, 2].map(() => least([own, dispatched], [0, 1], step, ROUNDS)).reduce((a, b) => a.map((ms, i) => Math.min(ms, b[i])));
  return { overhead: (two - one) * 1e6, variant };
}

/**
 * Loops over calls of a kernel's safe default on resident arrays of eight elements, compiled: its bare export, the dispatcher that only
 * asks where arrays lie (a script of the embedding page's), and the dispatcher as it is. The loops have the same text.
 * @param {any} tuner @param {string} name @param {string} variant
 */
export async function checks(tuner, name, variant) {
  const { manifest, TunedKernel, inputSets, root, compile } = await parts(tuner);
  const entry = manifest.kernels.find((/** @type {any} */ kernel) => kernel.name === name);
  const run = made; // a module of its own for each run: nobody else's type feedback
  const scripts = [`${location.origin}/unchecked/${name}.js#${run}`, `${root}embed/${name}.js#checks${run}`];
  const works = /** @type {Function[]} */ ([]);
  for (const [i, url] of scripts.entries()) {
    const script = await import(url);
    const tuned = new TunedKernel(entry, script, 1 << 20, (/** @type {string} */ one) => compile(name, one), entry.patterns[0]);
    await tuned.follow({ [entry.patterns[0]]: [{ choice: variant, log2Size: 0 }] });
    const [input] = inputSets(script.makeInput, 8, entry.patterns[0], 8);
    const args = input.map((/** @type {any} */ value) => {
      if (!ArrayBuffer.isView(value)) return value;
      const array = /** @type {any} */ (value);
      const view = tuned.arena.alloc(array.constructor, array.length);
      view.set(array);
      return view;
    });
    if (i === 0) {
      const { exports } = await WebAssembly.instantiate(await compile(name, variant), { env: { memory: tuned.arena.memory } });
      works.push((await loop(args.length))(exports.run, [args.map((/** @type {any} */ value) => value.byteOffset ?? value)]));
    }
    works.push((await loop(args.length))(tuned.call, [args]));
  }
  for (let turn = 0; turn < WARM_TURNS; turn++) {
    for (const work of works) sink += work(WARM_CALLS) || 0;
    await new Promise((resolve) => setTimeout(resolve, 5)); // compilers are at work meanwhile
  }
  return works;
}

/** The function that a page which knows `candidate` to be the best calls. @param {any} entry @param {any} script @param {string} candidate @param {any} arena @param {any} compile @param {boolean} inside */
async function direct(entry, script, candidate, arena, compile, inside) {
  if (entry.baselines.includes(candidate)) return script.baselines[candidate];
  const module = await compile(entry.name, candidate);
  const { exports } = await WebAssembly.instantiate(module, { env: { memory: arena.memory } });
  const call = script.bind[candidate](exports.run, arena, {});
  return inside ? call.resident : call;
}

/** Load what the page calls, as a page does before it measures. @param {any} tuner @param {boolean} inside @param {string[]} only */
export async function prepare(tuner, inside, only) {
  const { manifest } = await parts(tuner);
  for (const { name } of manifest.kernels) {
    if (only.length && !only.includes(name)) continue;
    await tuner.kernel(name);
    if (inside) tuner.alloc(name, Float32Array, 8);
  }
}

/**
 * Every kernel that leaves its input alone, in all sizes.
 * @param {any} tuner @param {Record<string, string>} defaults the safe default of each kernel @param {boolean} inside whether arrays lie in the kernels' memory
 * @param {string[]} only these kernels; none: all
 */
export async function workload(tuner, defaults, inside, only) {
  const { manifest, TunedKernel, Arena, inputSets, clockStep, root, compile } = await parts(tuner);
  const arena = new Arena({ dataEnd: Math.max(...manifest.kernels.map((/** @type {any} */ kernel) => kernel.dataEnd)), pages: { least: Math.max(...manifest.kernels.map((/** @type {any} */ kernel) => kernel.pages.least)) } }, 16 << 20);
  const features = ["simd", "relaxedSimd"].filter((feature) => tuner.environment[feature]);
  const step = await clockStep();
  const cells = [];
  for (const entry of manifest.kernels) {
    if (entry.params.some((/** @type {any} */ { dir }) => dir === "inout") || (only.length && !only.includes(entry.name))) continue;
    const [name, pattern] = [entry.name, entry.patterns[0]];
    const call = await tuner.kernel(name);
    const runnable = entry.variants.filter((/** @type {any} */ v) => v.features.every((/** @type {string} */ f) => features.includes(f)));
    const names = [...entry.baselines, ...runnable.map((/** @type {any} */ v) => v.name)];
    /** Each with a module of its own, so with type feedback of its own: as on a page that calls nothing else. @param {string} tag */
    const script = (tag) => import(`${root}embed/${name}.js#${tag}`);
    const calls = await Promise.all(names.map(async (one) => direct(entry, await script(one), one, arena, compile, inside)));
    const usual = new TunedKernel(entry, await script("default"), 0, (/** @type {string} */ one) => compile(name, one), pattern, undefined, arena);
    await usual.follow({ [pattern]: [{ choice: defaults[name], log2Size: 0 }] });
    for (const size of entry.sizes) {
      const made = inputSets((await script("js")).makeInput, size, pattern, size);
      const bytes = made[0].reduce((/** @type {number} */ sum, /** @type {any} */ value) => sum + (value.byteLength ?? 0), 0);
      const inputs = made.slice(0, Math.max(1, Math.min(MAX_SETS, Math.floor(SETS_BYTES / bytes))));
      /** @param {(Type: any, length: number) => any} alloc */
      const place = (alloc) =>
        inputs.map((/** @type {any[]} */ input) =>
          input.map((value) => {
            if (!ArrayBuffer.isView(value)) return value;
            const array = /** @type {any} */ (value);
            const view = inside ? alloc(array.constructor, array.length) : new array.constructor(array.length);
            view.set(array);
            return view;
          }),
        );
      tuner.release(name);
      arena.release();
      const sets = place((Type, length) => arena.alloc(Type, length));
      const mine = place((Type, length) => tuner.alloc(name, Type, length));
      const works = [(await loop(entry.params.length))(call, mine), (await loop(entry.params.length))(usual.call, sets)];
      for (const one of calls) works.push((await loop(entry.params.length))(one, sets));
      const { variant, source } = tuner.explain(name, { size, copied: !inside });
      /** @param {string} one */
      const index = (one) => names.indexOf(one) + 2;
      const wanted = [0, 1, ...["js", variant, defaults[name]].map(index)];
      const first = least(works, wanted, step, FIRST_ROUNDS);
      const fastest = names[first.slice(2).indexOf(Math.min(...first.slice(2)))];
      // The least of ten that are alike is a lucky one: what counts is measured after it was picked.
      const picked = [...new Set([...wanted, index(fastest)])];
      const again = least(picked.map((i) => works[i]), [...picked.keys()], step, ROUNDS);
      /** @param {number} i */
      const ms = (i) => again[picked.indexOf(i)];
      cells.push({
        name, size, variant, source, fastest, default: defaults[name],
        ms: ms(0), safe: ms(1), js: ms(index("js")), same: ms(index(variant)), best: ms(index(fastest)), safeDirect: ms(index(defaults[name])),
        first: { ms: first[0], best: Math.min(first[0], ...first.slice(2)), js: first[index("js")] },
        slower: first[0] > 1.05 * first[1] && ms(0) > 1.05 * ms(1),
      });
    }
  }
  return { cells, sink };
}
