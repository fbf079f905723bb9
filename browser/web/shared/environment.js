// @ts-check
/** The kind of browser (`fleetune.context.Environment`). */
/** @import { Environment } from "./wire" */

const MODULE_HEADER = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0];
/** The smallest modules with i8x16.splat + popcnt, and with i8x16.relaxed_swizzle. */
const PROBES = {
  simd: [...MODULE_HEADER, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
  relaxedSimd: [...MODULE_HEADER, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
};

/** @param {keyof typeof PROBES} feature */
function supports(feature) {
  return typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(PROBES[feature]));
}

function supportsThreads() {
  if (typeof SharedArrayBuffer !== "function") return false;
  const { port1, port2 } = new MessageChannel();
  try {
    port1.postMessage(new SharedArrayBuffer(1));
    return true;
  } catch {
    return false; // not cross-origin isolated
  } finally {
    port1.close();
    port2.close();
  }
}

/** The first match names the family, and captures the version. @type {[Environment["browser"], RegExp][]} */
const FAMILIES = [
  ["webkit", /(?:iPhone|iPad|iPod).* (?:OS |Version\/)(\d+)/], // every engine on iOS; Safari's OS stays 18
  ["webkit", /\wiOS\/()/], // CriOS … pose as Macs on an iPad
  ["firefox", /Firefox\/(\d+)/],
  ["chromium", /Chrom(?:e|ium)\/(\d+)/],
  ["webkit", /Version\/(\d+).*Safari\//],
];
/** @type {[Environment["os"], RegExp][]} */
const SYSTEMS = [
  ["ios", /iPhone|iPad|iPod|\wiOS\//],
  ["android", /Android/],
  ["windows", /Windows/],
  ["macos", /Mac OS X|Macintosh/],
  ["linux", /Linux|X11|CrOS/],
];
/** @type {[number, Environment["cores"]][]} */
const CORES = [[2, "1"], [4, "2-3"], [8, "4-7"], [16, "8-15"]];

/** @param {string} userAgent @returns {[Environment["browser"], number]} */
export function family(userAgent) {
  for (const [name, pattern] of FAMILIES) {
    const version = pattern.exec(userAgent)?.[1];
    if (version !== undefined) return [name, Math.min(Number(version), 9999)];
  }
  return ["other", 0];
}

/** @param {string} userAgent @returns {Environment["os"]} */
export function system(userAgent) {
  return SYSTEMS.find(([, pattern]) => pattern.test(userAgent))?.[0] ?? "other";
}

/** @param {number} cores @returns {Environment["cores"]} */
export function coresBucket(cores) {
  return CORES.find(([bound]) => cores < bound)?.[1] ?? "16+";
}

/** By the sign of the NaN that ∞ − ∞ makes: x86 sets it (fleetune/context.py). @returns {Environment["arch"]} */
export function architecture() {
  const number = new Float32Array([Infinity]);
  number[0] -= number[0];
  const top = new Uint8Array(number.buffer)[3];
  return top === 255 ? "x86" : top === 127 ? "arm" : undefined;
}

/** @returns {Environment} */
export function detectEnvironment() {
  const { userAgent = "", hardwareConcurrency = 1 } = globalThis.navigator ?? {};
  const [browser, version] = family(userAgent);
  const arch = architecture();
  return {
    browser,
    version,
    os: system(userAgent),
    simd: supports("simd"),
    relaxedSimd: supports("relaxedSimd"),
    threads: supportsThreads(),
    cores: coresBucket(hardwareConcurrency),
    ...(arch && { arch }), // last, as in Python
  };
}
