/** The Fourier transform of n complex numbers, interleaved: fft.js, the parts of webfft, pffft with SIMD. */
import FFT from "fft.js";
import pffft from "@echogarden/pffft-wasm/simd";
import webfft from "webfft";

/** One plan a size. @param {(n: number) => (data: Float32Array) => ArrayLike<number>} make */
function planned(make) {
  const plans = new Map();
  return (data) => {
    let plan = plans.get(data.length);
    if (!plan) plans.set(data.length, (plan = make(data.length / 2)));
    return plan(data);
  };
}

const ofWebfft = (name) => ({
  async: false,
  load: () => planned((n) => ((fft) => (data) => fft.fft(data).slice())(new webfft(n, name, false))),
});

export const job = [
  "fft",
  {
    fftJs: planned((n) => {
      const fft = new FFT(n);
      const out = fft.createComplexArray();
      return (data) => (fft.transform(out, data), Float32Array.from(out));
    }),
    kiss: ofWebfft("kissWasm"),
    indutny: ofWebfft("indutnyModifiedJavascript"),
    nayuki: ofWebfft("nayuki3Wasm"),
    pffft: {
      async: false,
      load: async () => {
        const own = await pffft({ locateFile: () => new URL("./pffft.wasm", import.meta.url).href });
        return planned((n) => {
          const setup = own._pffft_new_setup(n, 1);
          const [at, work] = [0, 0].map(() => own._pffft_aligned_malloc(8 * n));
          return (data) => {
            own.HEAPF32.set(data, at >> 2);
            own._pffft_transform_ordered(setup, at, at, work, 0);
            return own.HEAPF32.slice(at >> 2, (at >> 2) + 2 * n);
          };
        });
      },
    },
  },
  {
    size: (data) => data.length / 2,
    sizes: [64, 512, 4096, 32768],
    input: (n, random) => Float32Array.from({ length: 2 * n }, () => random() - 0.5),
    same: (a, b) => a.length === b.length && a.every((value, i) => Math.abs(value - b[i]) < 1e-3 * Math.sqrt(a.length)),
    expect: { calls: 1000 },
  },
];
