/** SHA-256 of bytes: JavaScript, WebAssembly, the platform. */
import { sha256 } from "@noble/hashes/sha2.js";
import { createSHA256 } from "hash-wasm";

export const job = [
  "sha256",
  {
    noble: (data) => sha256(data),
    hashWasm: {
      bytes: 8_000,
      load: async () => {
        const hasher = await createSHA256();
        return (data) => hasher.init().update(data).digest("binary");
      },
    },
    webcrypto: {
      bytes: 0,
      supported: () => Boolean(globalThis.crypto?.subtle),
      load: () => async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data)),
    },
  },
  {
    size: (data) => data.length,
    sizes: [16, 1024, 16384, 262144],
    input: (n, random) => Uint8Array.from({ length: n }, () => 256 * random()),
    expect: { calls: 1000 },
  },
];
