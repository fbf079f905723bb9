// @ts-check

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The platform's own validator: a decoder that throws, for text and for buffers that it does not take.
 * @param {Uint8Array} bytes @param {number} n */
export function js(bytes, n) {
  try {
    decoder.decode(bytes.length === n ? bytes : bytes.subarray(0, n));
    return 1;
  } catch {
    return jsTuned(bytes, n);
  }
}

/** @param {Uint8Array} bytes @param {number} n */
export function jsTuned(bytes, n) {
  let i = 0;
  while (i < n) {
    const lead = bytes[i];
    if (lead < 0x80) {
      i++;
    } else if (lead < 0xe0) {
      if (lead < 0xc2 || i + 1 >= n || (bytes[i + 1] & 0xc0) !== 0x80) return 0;
      i += 2;
    } else if (lead < 0xf0) {
      if (i + 2 >= n) return 0;
      const second = bytes[i + 1];
      if ((second & 0xc0) !== 0x80 || (bytes[i + 2] & 0xc0) !== 0x80) return 0;
      if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) return 0;
      i += 3;
    } else {
      if (lead > 0xf4 || i + 3 >= n) return 0;
      const second = bytes[i + 1];
      if ((second & 0xc0) !== 0x80 || (bytes[i + 2] & 0xc0) !== 0x80 || (bytes[i + 3] & 0xc0) !== 0x80) return 0;
      if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) return 0;
      i += 4;
    }
  }
  return 1;
}

/** Code points by pattern; `mixed` is Western text with the odd umlaut, symbol and emoji.
 * @type {Record<string, (random: () => number) => number>} */
const ALPHABETS = {
  ascii: (random) => 0x20 + Math.floor(95 * random()),
  mixed: (random) => {
    const kind = random();
    if (kind < 0.85) return 0x20 + Math.floor(95 * random());
    if (kind < 0.95) return 0xc0 + Math.floor(64 * random());
    return kind < 0.98 ? 0x20a0 + Math.floor(32 * random()) : 0x1f600 + Math.floor(64 * random());
  },
  cjk: (random) => (random() < 0.9 ? 0x4e00 + Math.floor(20000 * random()) : 0x20 + Math.floor(95 * random())),
};

/** Valid text of exactly `size` bytes.
 * @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const bytes = new Uint8Array(size).fill(0x20);
  const encoder = new TextEncoder();
  for (let at = 0; at < size; ) {
    let text = "";
    for (let i = 0; i < 4096 && i < size - at; i++) text += String.fromCodePoint(ALPHABETS[pattern](random));
    at += encoder.encodeInto(text, bytes.subarray(at)).written || size;
  }
  return [bytes, size];
}
