// @ts-check
import { randomF32 } from "./util.js";

/**
 * @param {Float32Array} x @param {Float32Array} y @param {Float32Array} z @param {Float32Array} mass
 * @param {Float32Array} ax @param {Float32Array} ay @param {Float32Array} az @param {number} n
 */
export function js(x, y, z, mass, ax, ay, az, n) {
  for (let i = 0; i < n; i++) {
    const xi = x[i], yi = y[i], zi = z[i];
    let sx = 0, sy = 0, sz = 0;
    for (let j = 0; j < n; j++) {
      const dx = x[j] - xi, dy = y[j] - yi, dz = z[j] - zi;
      const d2 = dx * dx + dy * dy + dz * dz + 1e-2;
      const pull = mass[j] / (d2 * Math.sqrt(d2));
      sx += dx * pull;
      sy += dy * pull;
      sz += dz * pull;
    }
    ax[i] = sx;
    ay[i] = sy;
    az[i] = sz;
  }
}

/** Each pair once (Newton's third law). Partial sums lie in the results: where they leave single precision, `js` computes again.
 * @param {Float32Array} x @param {Float32Array} y @param {Float32Array} z @param {Float32Array} mass
 * @param {Float32Array} ax @param {Float32Array} ay @param {Float32Array} az @param {number} n
 */
export function jsTuned(x, y, z, mass, ax, ay, az, n) {
  for (let i = 0; i < n; i++) ax[i] = ay[i] = az[i] = 0;
  let finite = 0;
  for (let i = 0; i < n; i++) {
    const xi = x[i], yi = y[i], zi = z[i], mi = mass[i];
    let sx = ax[i], sy = ay[i], sz = az[i];
    for (let j = i + 1; j < n; j++) {
      const dx = x[j] - xi, dy = y[j] - yi, dz = z[j] - zi;
      const d2 = dx * dx + dy * dy + dz * dz + 1e-2;
      const cube = 1 / (d2 * Math.sqrt(d2));
      const pull = mass[j] * cube, back = mi * cube;
      sx += dx * pull;
      sy += dy * pull;
      sz += dz * pull;
      ax[j] -= dx * back;
      ay[j] -= dy * back;
      az[j] -= dz * back;
    }
    finite += sx - sx + (sy - sy) + (sz - sz);
    ax[i] = sx;
    ay[i] = sy;
    az[i] = sz;
  }
  if (finite !== 0) js(x, y, z, mass, ax, ay, az, n);
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const axis = () => randomF32(size, random);
  const accelerations = [new Float32Array(size), new Float32Array(size), new Float32Array(size)];
  return [axis(), axis(), axis(), randomF32(size, random, 0.1, 1), ...accelerations, size];
}
