// @ts-check
/**
 * Ed25519 verification where Web Cryptography has none: Chromium before 137, and pages outside secure contexts. The same as
 * fleetune/ed25519.py, after RFC 8032, section 5.1; SHA-512 after FIPS 180-4. Nothing secret is handled, so nothing need take constant time.
 */

const WORD = (1n << 64n) - 1n;
const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The largest r with r ** degree <= value. @param {bigint} value @param {bigint} degree */
function rootOf(value, degree) {
  let root = 0n;
  for (let bit = 1n << 80n; bit; bit >>= 1n) if ((root + bit) ** degree <= value) root += bit;
  return root;
}

/** @type {bigint[]} */
const PRIMES = [];
for (let n = 2n; PRIMES.length < 80; n++) if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
/** 64 bits of the fraction of a root. @param {bigint} degree */
const fractions = (degree) => PRIMES.map((prime) => rootOf(prime << (64n * degree), degree) & WORD);
const ROUND = fractions(3n);
const START = fractions(2n).slice(0, 8);

/** @param {bigint} word @param {bigint} by */
const turn = (word, by) => ((word >> by) | (word << (64n - by))) & WORD;

/** @param {Uint8Array} bytes @returns {Uint8Array} 64 bytes */
export function sha512(bytes) {
  const padded = new Uint8Array(Math.ceil((bytes.length + 17) / 128) * 128);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(bytes.length) * 8n);
  const state = [...START];
  for (let at = 0; at < padded.length; at += 128) {
    const words = Array.from({ length: 16 }, (_, i) => view.getBigUint64(at + 8 * i));
    for (let i = 16; i < 80; i++) {
      const [early, late] = [words[i - 15], words[i - 2]];
      const small = turn(early, 1n) ^ turn(early, 8n) ^ (early >> 7n);
      const large = turn(late, 19n) ^ turn(late, 61n) ^ (late >> 6n);
      words.push((words[i - 16] + small + words[i - 7] + large) & WORD);
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 80; i++) {
      const first = h + (turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n)) + ((e & f) ^ (~e & WORD & g)) + ROUND[i] + words[i];
      const second = (turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n)) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) & WORD, c, b, a, (first + second) & WORD];
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) state[i] = (state[i] + value) & WORD;
  }
  const digest = new DataView(new ArrayBuffer(64));
  state.forEach((word, i) => digest.setBigUint64(8 * i, word));
  return new Uint8Array(digest.buffer);
}

/** @param {bigint} value */
const reduced = (value) => ((value % P) + P) % P;

/** @param {bigint} base @param {bigint} exponent */
function power(base, exponent) {
  let result = 1n;
  for (; exponent; exponent >>= 1n, base = (base * base) % P) if (exponent & 1n) result = (result * base) % P;
  return result;
}

const D = reduced(-121665n * power(121666n, P - 2n));
const ROOT_OF_MINUS_ONE = power(2n, (P - 1n) / 4n);

/** @typedef {[bigint, bigint, bigint, bigint]} Point X : Y : Z : T, x = X/Z, y = Y/Z, x y = T/Z */

/** @param {Point} a @param {Point} b @returns {Point} */
function sum(a, b) {
  const minus = reduced((a[1] - a[0]) * (b[1] - b[0]));
  const plus = reduced((a[1] + a[0]) * (b[1] + b[0]));
  const c = reduced(2n * a[3] * b[3] * D);
  const d = reduced(2n * a[2] * b[2]);
  const [e, f, g, h] = [plus - minus, d - c, d + c, plus + minus];
  return [reduced(e * f), reduced(g * h), reduced(f * g), reduced(e * h)];
}

/** @param {bigint} scalar @param {Point} point */
function times(scalar, point) {
  /** @type {Point} */
  let total = [0n, 1n, 1n, 0n];
  for (; scalar; scalar >>= 1n, point = sum(point, point)) if (scalar & 1n) total = sum(total, point);
  return total;
}

/** The x coordinate of that sign for y, if there is one. @param {bigint} y @param {bigint} sign */
function xOf(y, sign) {
  const squared = reduced((y * y - 1n) * power(D * y * y + 1n, P - 2n));
  if (!squared) return sign ? undefined : 0n;
  let x = power(squared, (P + 3n) / 8n);
  if (reduced(x * x - squared)) x = (x * ROOT_OF_MINUS_ONE) % P;
  if (reduced(x * x - squared)) return undefined;
  return (x & 1n) === sign ? x : P - x;
}

/** @param {Uint8Array} bytes */
const numberIn = (bytes) => bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);

/** The point that 32 bytes encode, if they are one in its only spelling. @param {Uint8Array} bytes @returns {Point | undefined} */
function pointIn(bytes) {
  const number = numberIn(bytes);
  const y = number & ((1n << 255n) - 1n);
  const x = y < P ? xOf(y, number >> 255n) : undefined;
  return x === undefined ? undefined : [x, y, 1n, (x * y) % P];
}

const BASE_Y = reduced(4n * power(5n, P - 2n));
const BASE_X = /** @type {bigint} */ (xOf(BASE_Y, 0n));
/** @type {Point} */
const BASE = [BASE_X, BASE_Y, 1n, (BASE_X * BASE_Y) % P];

/** Whether this signature on the message was made with the key. @param {Uint8Array} publicKey @param {Uint8Array} signature @param {Uint8Array} message */
export async function verify(publicKey, signature, message) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const [key, commitment, scalar] = [pointIn(publicKey), pointIn(signature.subarray(0, 32)), numberIn(signature.subarray(32))];
  if (!key || !commitment || scalar >= ORDER) return false;
  const hashed = new Uint8Array(64 + message.length);
  hashed.set(signature.subarray(0, 32));
  hashed.set(publicKey, 32);
  hashed.set(message, 64);
  const digest = (await crypto.subtle?.digest("SHA-512", hashed)) ?? sha512(hashed);
  const challenge = numberIn(new Uint8Array(digest)) % ORDER;
  const [left, right] = [times(scalar, BASE), sum(commitment, times(challenge, key))];
  return !reduced(left[0] * right[2] - right[0] * left[2]) && !reduced(left[1] * right[2] - right[1] * left[2]);
}
