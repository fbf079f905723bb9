// @ts-check

/**
 * @param {Int32Array} counts @param {number} width @param {number} height
 * @param {number} left @param {number} top @param {number} step @param {number} limit
 */
export function js(counts, width, height, left, top, step, limit) {
  for (let y = 0; y < height; y++) {
    const ci = top + y * step;
    for (let x = 0; x < width; x++) {
      const cr = left + x * step;
      let zr = 0, zi = 0, count = 0;
      while (count < limit) {
        const r2 = zr * zr, i2 = zi * zi;
        if (r2 + i2 > 4) break;
        zi = 2 * zr * zi + ci;
        zr = r2 - i2 + cr;
        count++;
      }
      counts[y * width + x] = count;
    }
  }
}

/** Points inside the main cardioid and the period-2 disc are known never to escape.
 * @param {Int32Array} counts @param {number} width @param {number} height
 * @param {number} left @param {number} top @param {number} step @param {number} limit
 */
export function jsTuned(counts, width, height, left, top, step, limit) {
  for (let y = 0; y < height; y++) {
    const ci = top + y * step, y2 = ci * ci;
    for (let x = 0; x < width; x++) {
      const cr = left + x * step;
      const a = cr - 0.25, q = a * a + y2, p = cr + 1;
      let count = limit;
      if (q * (q + a) >= 0.25 * y2 && p * p + y2 >= 0.0625) {
        let zr = 0, zi = 0;
        count = 0;
        while (count < limit) {
          const r2 = zr * zr, i2 = zi * zi;
          if (r2 + i2 > 4) break;
          zi = 2 * zr * zi + ci;
          zr = r2 - i2 + cr;
          count++;
        }
      }
      counts[y * width + x] = count;
    }
  }
}

/** Left, top and extent of the views: mostly inside the set, on its edge, mostly outside.
 * @type {Record<string, [number, number, number]>} */
const VIEWS = { interior: [-0.45, -0.35, 0.6], boundary: [-0.8, 0.05, 0.25], exterior: [0.2, 0.6, 1.5] };

/** `size` is the number of pixels, rounded down to a rectangle.
 * @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const width = Math.round(Math.sqrt(size)), height = width ? Math.floor(size / width) : 0;
  const [left, top, extent] = VIEWS[pattern];
  const shift = extent / 10;
  const step = extent / Math.max(width, 1);
  return [new Int32Array(width * height), width, height, left + shift * random(), top + shift * random(), step, 64];
}
