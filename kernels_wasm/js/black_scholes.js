// @ts-check
import { randomF32 } from "./util.js";

/** What has a price, so that nothing on the way to it leaves single precision; anything else is NaN. */
const LEAST = 2 ** -60, MOST = 2 ** 60, SHORTEST = 2 ** -20, LONGEST = 1000;

/** Abramowitz and Stegun 26.2.17.
 * @param {number} x */
function normalDistribution(x) {
  const size = Math.abs(x), t = 1 / (1 + 0.2316419 * size);
  const p = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = 0.3989422804014327 * Math.exp(-0.5 * size * size) * p;
  return x < 0 ? tail : 1 - tail;
}

/**
 * @param {Float32Array} spot @param {Float32Array} strike @param {Float32Array} years @param {Float32Array} call
 * @param {number} n @param {number} rate @param {number} volatility
 */
export function js(spot, strike, years, call, n, rate, volatility) {
  const drift = rate + 0.5 * volatility * volatility;
  const longest = Math.fround(rate < 0 ? Math.min(LONGEST, 80 / -rate) : LONGEST);
  for (let i = 0; i < n; i++) {
    if (!(spot[i] >= LEAST && spot[i] <= MOST && strike[i] >= LEAST && strike[i] <= MOST && years[i] >= SHORTEST && years[i] <= longest)) {
      call[i] = NaN;
      continue;
    }
    const deviation = volatility * Math.sqrt(years[i]);
    const d1 = (Math.log(spot[i] / strike[i]) + drift * years[i]) / deviation;
    const discounted = strike[i] * Math.exp(-rate * years[i]);
    call[i] = spot[i] * normalDistribution(d1) - discounted * normalDistribution(d1 - deviation);
  }
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const spot = randomF32(size, random, 10, 100), strike = randomF32(size, random, 10, 100);
  const years = randomF32(size, random, 0.1, 5);
  return [spot, strike, years, new Float32Array(size), size, 0.01 + 0.04 * random(), 0.1 + 0.4 * random()];
}
