/** A tiny network in ONNX Runtime Web with one thread or two. Threads need an isolated page (serve.mjs sends the headers). */
import { threads } from "fleetune/adapters";
import { model } from "./model.js";

const WIDTH = 128;

/** A runtime of its own for each number of threads, because it is fixed once the first session was made. */
async function withThreads(count) {
  const ort = await import(new URL(`./ort.wasm.bundle.min.mjs?threads=${count}`, import.meta.url));
  ort.env.wasm.numThreads = count;
  ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };
  const session = await ort.InferenceSession.create(model(), { executionProviders: ["wasm"] });
  return async (data) => {
    const { y } = await session.run({ x: new ort.Tensor("float32", data, [data.length / WIDTH, WIDTH]) });
    return y.data;
  };
}

export const job = [
  "onnx",
  threads({ max: 2 }, withThreads),
  {
    size: (data) => data.length / WIDTH,
    sizes: [1, 32, 1024],
    input: (n, random) => Float32Array.from({ length: n * WIDTH }, () => random() - 0.5),
    same: (a, b) => a.length === b.length && a.every((value, i) => Math.abs(value - b[i]) < 1e-4),
    expect: { calls: 2000 },
  },
];
