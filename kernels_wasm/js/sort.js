// @ts-check

/** The platform's own sort of typed arrays: numeric, in place.
 * @param {Int32Array} data @param {Int32Array} scratch @param {number} n */
export function js(data, scratch, n) {
  if (data.length === n) data.sort();
  else data.subarray(0, n).sort();
}

/** Insertion sort when short, radix sort by bytes when long, the platform's in between.
 * @param {Int32Array} data @param {Int32Array} scratch @param {number} n */
export function jsTuned(data, scratch, n) {
  if (n <= 16) {
    for (let i = 1; i < n; i++) {
      const value = data[i];
      let k = i;
      for (; k > 0 && data[k - 1] > value; k--) data[k] = data[k - 1];
      data[k] = value;
    }
    return;
  }
  if (n < 4096) {
    js(data, scratch, n);
    return;
  }
  const starts = new Int32Array(256);
  let from = data, to = scratch;
  for (let shift = 0; shift < 32; shift += 8) {
    const flip = shift === 24 ? 128 : 0;
    starts.fill(0);
    for (let i = 0; i < n; i++) starts[((from[i] >>> shift) & 255) ^ flip]++;
    if (starts[((from[0] >>> shift) & 255) ^ flip] === n) continue;
    for (let d = 0, total = 0; d < 256; d++) {
      const count = starts[d];
      starts[d] = total;
      total += count;
    }
    for (let i = 0; i < n; i++) {
      const value = from[i];
      to[starts[((value >>> shift) & 255) ^ flip]++] = value;
    }
    const swap = from;
    from = to;
    to = swap;
  }
  if (from !== data) data.set(from.subarray(0, n));
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const any = () => Math.floor(random() * 0x100000000) | 0;
  const data = new Int32Array(size);
  if (pattern === "fewUnique") {
    const values = Array.from({ length: 16 }, any);
    for (let i = 0; i < size; i++) data[i] = values[Math.floor(16 * random())];
  } else {
    for (let i = 0; i < size; i++) data[i] = any();
    if (pattern === "sorted") data.sort();
  }
  return [data, new Int32Array(size), size];
}
