import { xxHash32 } from "js-xxhash";

export const js = (input, n, seed) => xxHash32(n === input.length ? input : input.subarray(0, n), seed);

export function makeInput(size, pattern, random) {
  return [Uint8Array.from({ length: size }, () => 256 * random()), size, Math.floor(2 ** 31 * random())];
}
