// @ts-check

/**
 * @param {Uint8Array} a @param {number} m @param {Uint8Array} b @param {number} n
 * @param {Int32Array} scratch room for n + 1
 */
export function js(a, m, b, n, scratch) {
  const row = scratch;
  for (let j = 0; j <= n; j++) row[j] = j;
  for (let i = 1; i <= m; i++) {
    const letter = a[i - 1];
    let diagonal = row[0], left = i;
    row[0] = i;
    for (let j = 1; j <= n; j++) {
      const above = row[j];
      left = Math.min(Math.min(left, above) + 1, diagonal + (letter === b[j - 1] ? 0 : 1));
      row[j] = left;
      diagonal = above;
    }
  }
  return row[n];
}

const positions = new Int32Array(256);

/** Myers' bit-parallel algorithm in blocks of 32 rows.
 * @param {Uint8Array} a @param {number} m @param {Uint8Array} b @param {number} n @param {Int32Array} scratch
 */
export function jsTuned(a, m, b, n, scratch) {
  if (m === 0) return n;
  for (let j = 0; j < n; j++) scratch[j] = 1;
  for (let start = 0; start < m; start += 32) {
    const rows = Math.min(32, m - start), last = rows - 1;
    let up = -1, down = 0;
    for (let k = 0; k < rows; k++) positions[a[start + k]] |= 1 << k;
    for (let j = 0; j < n; j++) {
      const carry = scratch[j];
      let equal = positions[b[j]];
      const vertical = equal | down;
      equal |= carry >>> 31;
      const horizontal = (((equal & up) + up) ^ up) | equal;
      let plus = down | ~(horizontal | up), minus = up & horizontal;
      scratch[j] = ((plus >>> last) & 1) - ((minus >>> last) & 1);
      plus = (plus << 1) | (carry > 0 ? 1 : 0);
      minus = (minus << 1) | (carry >>> 31);
      up = minus | ~(vertical | plus);
      down = plus & vertical;
    }
    for (let k = 0; k < rows; k++) positions[a[start + k]] = 0;
  }
  let total = m;
  for (let j = 0; j < n; j++) total += scratch[j];
  return total;
}

/** Two strings of `size` lower-case letters: unrelated, or the second edited in about 3 % of places.
 * @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const letter = () => 97 + Math.floor(26 * random());
  const a = Uint8Array.from({ length: size }, letter), b = Uint8Array.from({ length: size }, letter);
  if (pattern === "similar") {
    for (let from = 0, to = 0; to < size; to++) {
      const edit = random();
      if (edit < 0.01) from++; // deleted
      if (edit > 0.02 && from < size) b[to] = a[from]; // else another letter: substituted or inserted
      if (edit < 0.01 || edit > 0.015) from++;
    }
  }
  return [a, size, b, size, new Int32Array(4 * size + 64)];
}
