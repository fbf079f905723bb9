// Reads {dist, candidate} on stdin. Calls `dot` and `saxpy` with arrays that were passed around, taken away or watched between
// calls, and writes what each call gave, or its error, and what was set aside.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import vm from "node:vm";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { TunedKernel } from "../../browser/web/embed/tuned_kernel.js";

const { dist, candidate } = JSON.parse(readFileSync(0, "utf8"));
const manifest = JSON.parse(readFileSync(`${dist}/manifest.json`, "utf8"));
const setAside = [];

async function tunedFor(name) {
  const entry = manifest.kernels.find((kernel) => kernel.name === name);
  const load = async (wanted) => {
    const { bundle, offset, size } = entry.variants.find((variant) => variant.name === wanted);
    return WebAssembly.compile(readFileSync(`${dist}/${manifest.bundles[bundle].path}`).subarray(offset, offset + size));
  };
  const script = await import(pathToFileURL(`${dist}/embed/${name}.js`).href);
  const tuned = new TunedKernel(entry, script, 1 << 20, load, entry.patterns[0], (...given) => setAside.push(given));
  const rows = [{ choice: candidate, log2Size: 0 }];
  await tuned.follow({ [entry.patterns[0]]: rows, [`${entry.patterns[0]}+copied`]: rows });
  return tuned;
}

const [first, second, saxpy] = [await tunedFor("dot"), await tunedFor("dot"), await tunedFor("saxpy")];
const f32 = (...values) => Float32Array.from(values);
const ones = f32(1, 1, 1);
const taken = (array) => {
  structuredClone(array, { transfer: [array.buffer] });
  return array;
};
const allocated = (tuned, ...values) => {
  const view = tuned.arena.alloc(Float32Array, values.length);
  view.set(values);
  return view;
};
const resizable = (...values) => {
  const view = new Float32Array(new ArrayBuffer(4 * values.length, { maxByteLength: 64 }), 0, values.length);
  view.set(values);
  return view;
};
/** As another thread gets it. */
const sent = (value) => {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(value);
  const { message } = receiveMessageOnPort(port2);
  port1.close();
  return message;
};
/** An array whose `constructor`, the one property that a call asks every array for, does something. */
const watched = (array, act) => Object.defineProperty(array, "constructor", { get: () => (act(), Float32Array) });

const CASES = {
  "arrays of another tuner": () => {
    const [a, b] = [allocated(first, 1, 2, 3), allocated(first, 1, 1, 1)];
    return [second.call(a, b, 3), second.last.inside, first.call(a, b, 3), first.last.inside];
  },
  "one of each tuner": () => second.call(allocated(first, 1, 2, 3), allocated(second, 1, 1, 1), 3),
  "another window's arrays": () => {
    const [a, out] = vm.runInNewContext("[Float32Array.of(1, 2, 3), new Float32Array(3)]");
    saxpy.call(2, a, ones, out, 3);
    return [...out];
  },
  "an array of alloc sent to another thread": () => {
    const copy = sent(allocated(first, 1, 2, 3));
    return [first.call(copy, ones, 3), first.last.inside];
  },
  "a buffer of alloc cannot be taken away": () => {
    const a = allocated(first, 1, 2, 3);
    try {
      taken(a);
    } catch {}
    return first.call(a, ones, 3);
  },
  "arrays of alloc after release": () => {
    const a = allocated(first, 1, 2, 3);
    first.arena.release();
    return [first.call(a, ones, 3), first.last.inside];
  },
  "release of a frozen array": () => {
    Object.freeze(first.arena.alloc(Float32Array, 0));
    first.arena.release();
    return first.call(allocated(first, 1, 2, 3), ones, 3);
  },
  "a detached array": () => first.call(taken(f32(1, 2, 3)), ones, 3),
  "a detached array, count left out": () => first.call(taken(f32(1, 2, 3)), ones),
  "a detached array of a class": () => first.call(taken(new (class extends Float32Array {})(3)), ones),
  "a detached result": () => saxpy.call(2, ones, ones, taken(f32(1, 2, 3)), 0) ?? null,
  "a buffer that shrank": () => {
    const a = resizable(1, 2, 3);
    const before = first.call(a, ones, 3);
    a.buffer.resize(4);
    let after;
    try {
      first.call(a, ones, 3);
    } catch (error) {
      after = String(error);
    }
    a.buffer.resize(12);
    return [before, after, first.call(a, ones, 3)];
  },
  "a buffer that shrinks while arguments are checked": () => {
    const a = resizable(1, 2, 3);
    return first.call(a, watched(f32(1, 1, 1), () => a.buffer.resize(0)), 3);
  },
  "a call while arguments are checked": () => {
    const inner = () => first.call(f32(9, 9, 9), f32(9, 9, 9), 3);
    return [first.call(f32(1, 2, 3), watched(f32(1, 1, 1), inner), 3), first.last.size];
  },
  "a count that becomes a number": () => first.call(ones, ones, { valueOf: () => 3 }),
  "a boxed count": () => first.call(ones, ones, new Number(3)),
  "a Proxy": () => first.call(new Proxy(f32(1, 2, 3), { get: (array, key) => array[key] }), ones, 3),
  "an object that says what it is": () => first.call({ constructor: Float32Array, length: 3, 0: 1, 1: 2, 2: 3 }, ones, 3),
  "a class of arrays that makes others": () => {
    class Other extends Float32Array {
      static get [Symbol.species]() {
        return Array;
      }
    }
    return first.call(Other.of(1, 2, 3, 4), ones, 3);
  },
  "no array": () => first.call(null, ones, 3),
};
const answers = {};
for (const [what, act] of Object.entries(CASES)) {
  try {
    answers[what] = act();
  } catch (error) {
    answers[what] = String(error);
  }
}
process.stdout.write(JSON.stringify({ answers, setAside, last: first.last.variant }));
