// @ts-check
import { randomU8 } from "./util.js";

/** Table k is the effect of a byte that k more bytes follow. */
const TABLES = (() => {
  const tables = new Int32Array(8 * 256);
  for (let i = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    tables[i] = crc;
  }
  for (let i = 256; i < 8 * 256; i++) {
    const before = tables[i - 256];
    tables[i] = (before >>> 8) ^ tables[before & 255];
  }
  return tables;
})();
const BYTE_TABLE = TABLES.slice(0, 256);

/** @param {Uint8Array} data @param {number} n */
export function js(data, n) {
  let crc = -1;
  for (let i = 0; i < n; i++) crc = (crc >>> 8) ^ BYTE_TABLE[(crc ^ data[i]) & 255];
  return ~crc >>> 0;
}

/** Slicing by eight.
 * @param {Uint8Array} data @param {number} n */
export function jsTuned(data, n) {
  let crc = -1, i = 0;
  for (; i + 7 < n; i += 8) {
    crc ^= data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24);
    crc =
      TABLES[1792 + (crc & 255)] ^ TABLES[1536 + ((crc >>> 8) & 255)] ^
      TABLES[1280 + ((crc >>> 16) & 255)] ^ TABLES[1024 + (crc >>> 24)] ^
      TABLES[768 + data[i + 4]] ^ TABLES[512 + data[i + 5]] ^ TABLES[256 + data[i + 6]] ^ TABLES[data[i + 7]];
  }
  for (; i < n; i++) crc = (crc >>> 8) ^ TABLES[(crc ^ data[i]) & 255];
  return ~crc >>> 0;
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomU8(size, random), size];
}
