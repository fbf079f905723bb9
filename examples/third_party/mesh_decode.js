import { MeshoptDecoder } from "./node_modules/meshoptimizer/meshopt_decoder_reference.js";

export function js(vertices, count, stride, source, length) {
  MeshoptDecoder.decodeVertexBuffer(vertices, count, stride, length === source.length ? source : source.subarray(0, length));
}

export const adapters = {
  decode(exports) {
    exports.__wasm_call_ctors();
    return (vertices, count, stride, source, length) => {
      const error = exports.meshopt_decodeVertexBuffer(vertices, count, stride, source, length);
      if (error) throw new Error(`meshopt_decodeVertexBuffer gave ${error}`);
    };
  },
};

const STRIDE = 16; // bytes a vertex
const TAIL = 32; // least length of the tail
const BLOCK = 256; // vertices of a block at this stride

/** A valid stream (version 0, see the reference decoder) of groups of deltas, each coded in one of four ways. */
export function makeInput(size, pattern, random) {
  const byte = () => Math.floor(256 * random());
  const stream = [0xa0];
  for (let first = 0; first < size; first += BLOCK) {
    const vertices = Math.min(BLOCK, size - first);
    const groups = Math.ceil(vertices / 16);
    const rest = vertices % 16;
    for (let channel = 0; channel < STRIDE; channel++) {
      const modes = Array.from({ length: groups }, () => Math.floor(4 * random()));
      if (rest) modes[groups - 1] = 3; // in full: what fills the last group up must be zeros, as the encoder's is
      for (let group = 0; group < groups; group += 4) {
        stream.push(modes.slice(group, group + 4).reduce((header, mode, i) => header | (mode << (2 * i)), 0));
      }
      for (const [group, mode] of modes.entries()) {
        const bits = [0, 2, 4, 8][mode];
        const coded = Array.from({ length: 2 * bits }, byte);
        if (rest && group === groups - 1) coded.fill(0, rest);
        stream.push(...coded);
        const most = 2 ** bits - 1; // stands for a delta that follows in full
        if (bits !== 2 && bits !== 4) continue;
        for (const word of coded) {
          for (let shift = 8 - bits; shift >= 0; shift -= bits) if (((word >> shift) & most) === most) stream.push(byte());
        }
      }
    }
  }
  stream.push(...Array(TAIL - STRIDE).fill(0), ...Array.from({ length: STRIDE }, byte));
  return [new Uint8Array(size * STRIDE), size, STRIDE, Uint8Array.from(stream), stream.length];
}
