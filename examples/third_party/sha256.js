import { sha256 } from "@noble/hashes/sha2.js";

const CHUNK = 16384; // bytes that the module's buffer holds

export function js(input, digest, n) {
  digest.set(sha256(n === input.length ? input : input.subarray(0, n)));
}

export const adapters = {
  /** As hash-wasm's own JavaScript does: a chunk at a time into the module's buffer, where the digest comes out. */
  chunked(exports, memory) {
    const buffer = new Uint8Array(memory.buffer, exports.Hash_GetBuffer(), CHUNK); // its memory cannot grow
    return (input, digest, n) => {
      exports.Hash_Init(256);
      for (let at = 0; at < n; at += CHUNK) {
        const chunk = input.subarray(at, Math.min(at + CHUNK, n));
        buffer.set(chunk);
        exports.Hash_Update(chunk.length);
      }
      exports.Hash_Final(0);
      digest.set(buffer.subarray(0, 32));
    };
  },
};

export function makeInput(size, pattern, random) {
  return [Uint8Array.from({ length: size }, () => 256 * random()), new Uint8Array(32), size];
}
