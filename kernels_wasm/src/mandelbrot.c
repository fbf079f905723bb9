/* Escape counts of the Mandelbrot set for a width × height view. Every variant does the same f64 operations
 * in the same order, so counts agree exactly. `interiorTest` skips points inside the main cardioid and the
 * period-2 disc, which never escape: a gain on an interior view, a cost on one without such points. */
#include "fleetune.h"

#ifdef FT_INTERIOR
INLINE i32 never_escapes(f64 cr, f64 ci) {
  f64 y2 = ci * ci, x = cr - 0.25, q = x * x + y2, p = cr + 1;
  return q * (q + x) < 0.25 * y2 || p * p + y2 < 0.0625;
}
#endif

INLINE i32 escape_count(f64 cr, f64 ci, i32 limit) {
  f64 zr = 0, zi = 0;
  i32 count = 0;
#ifdef FT_INTERIOR
  if (never_escapes(cr, ci)) return limit;
#endif
  UNROLL(4)
  while (count < limit) {
    f64 r2 = zr * zr, i2 = zi * zi;
    if (r2 + i2 > 4) break;
    zi = 2 * zr * zi + ci;
    zr = r2 - i2 + cr;
    count++;
  }
  return count;
}

#ifdef FT_SIMD
/* z ← z² + c for the lanes of `live`, which loses those that escape; its lanes are -1 or 0. */
INLINE v128_t live_lanes(v128_t r2, v128_t i2) {
  return wasm_f64x2_le(wasm_f64x2_add(r2, i2), wasm_f64x2_const_splat(4));
}

#ifdef FT_UNROLL
/* Two vectors at once: the second fills the time that the first waits for its multiplications. */
INLINE void escape_count_x4(v128_t cr0, v128_t cr1, v128_t ci, i32 limit, i32 *out) {
  v128_t zr0 = wasm_f64x2_const_splat(0), zi0 = zr0, zr1 = zr0, zi1 = zr0, count0 = zr0, count1 = zr0;
  v128_t live0 = wasm_i64x2_const_splat(-1), live1 = live0;
  for (i32 step = 0; step < limit; step++) {
    v128_t r0 = wasm_f64x2_mul(zr0, zr0), i0 = wasm_f64x2_mul(zi0, zi0);
    v128_t r1 = wasm_f64x2_mul(zr1, zr1), i1 = wasm_f64x2_mul(zi1, zi1);
    live0 = wasm_v128_and(live0, live_lanes(r0, i0));
    live1 = wasm_v128_and(live1, live_lanes(r1, i1));
    if (!wasm_v128_any_true(wasm_v128_or(live0, live1))) break;
    count0 = wasm_i64x2_sub(count0, live0);
    count1 = wasm_i64x2_sub(count1, live1);
    zi0 = wasm_f64x2_add(wasm_f64x2_mul(wasm_f64x2_add(zr0, zr0), zi0), ci);
    zi1 = wasm_f64x2_add(wasm_f64x2_mul(wasm_f64x2_add(zr1, zr1), zi1), ci);
    zr0 = wasm_f64x2_add(wasm_f64x2_sub(r0, i0), cr0);
    zr1 = wasm_f64x2_add(wasm_f64x2_sub(r1, i1), cr1);
  }
  wasm_v128_store(out, wasm_i32x4_shuffle(count0, count1, 0, 2, 4, 6));
}
#endif

INLINE void escape_count_x2(v128_t cr, v128_t ci, i32 limit, i32 *out) {
  v128_t zr = wasm_f64x2_const_splat(0), zi = zr, count = zr, live = wasm_i64x2_const_splat(-1);
  for (i32 step = 0; step < limit; step++) {
    v128_t r2 = wasm_f64x2_mul(zr, zr), i2 = wasm_f64x2_mul(zi, zi);
    live = wasm_v128_and(live, live_lanes(r2, i2));
    if (!wasm_v128_any_true(live)) break;
    count = wasm_i64x2_sub(count, live);
    zi = wasm_f64x2_add(wasm_f64x2_mul(wasm_f64x2_add(zr, zr), zi), ci);
    zr = wasm_f64x2_add(wasm_f64x2_sub(r2, i2), cr);
  }
  wasm_v128_store64_lane(out, wasm_i32x4_shuffle(count, count, 0, 2, 0, 2), 0);
}

#ifdef FT_INTERIOR
INLINE i32 both_never_escape(f64 cr, f64 next, f64 ci) { return never_escapes(cr, ci) && never_escapes(next, ci); }
#endif
#endif

EXPORT void run(i32 *counts, i32 width, i32 height, f64 left, f64 top, f64 step, i32 limit) {
  for (i32 y = 0; y < height; y++) {
    i32 *row = counts + y * width, x = 0;
    f64 ci = top + y * step;
#ifdef FT_SIMD
    v128_t vi = wasm_f64x2_splat(ci);
#ifdef FT_UNROLL
    for (; x + 4 <= width; x += 4) {
      v128_t c0 = wasm_f64x2_make(left + x * step, left + (x + 1) * step);
      v128_t c1 = wasm_f64x2_make(left + (x + 2) * step, left + (x + 3) * step);
      escape_count_x4(c0, c1, vi, limit, row + x);
    }
#endif
    for (; x + 2 <= width; x += 2) {
      f64 cr = left + x * step, next = left + (x + 1) * step;
#ifdef FT_INTERIOR
      if (both_never_escape(cr, next, ci)) {
        row[x] = row[x + 1] = limit;
        continue;
      }
#endif
      escape_count_x2(wasm_f64x2_make(cr, next), vi, limit, row + x);
    }
#endif
    for (; x < width; x++) row[x] = escape_count(left + x * step, ci, limit);
  }
}
