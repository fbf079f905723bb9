/* 3×3 correlation of an f32 image, valid region only: out is (height − 2) × (width − 2). Unrolling writes out the three
 * rows of taps; tiling computes two output rows a pass, so that the rows they share are loaded once. */
#include "fleetune.h"

INLINE f32 taps(f32 sum, const f32 *p, const f32 *w) { return sum + p[0] * w[0] + p[1] * w[1] + p[2] * w[2]; }

static inline __attribute__((always_inline)) f32 point(const f32 *p, i32 width, const f32 *w) {
  f32 sum = 0;
#if defined(FT_UNROLL) || defined(FT_TILING)
  sum = taps(sum, p, w);
  sum = taps(sum, p + width, w + 3);
  sum = taps(sum, p + 2 * width, w + 6);
#else
  UNROLL(1)
  for (i32 row = 0; row < 3; row++) sum = taps(sum, p + row * width, w + 3 * row);
#endif
  return sum;
}

#ifdef FT_SIMD
INLINE v128_t taps_x4(v128_t sum, v128_t p0, v128_t p1, v128_t p2, const f32 *w) {
  sum = MADD_F32X4(p0, wasm_v128_load32_splat(w), sum);
  sum = MADD_F32X4(p1, wasm_v128_load32_splat(w + 1), sum);
  return MADD_F32X4(p2, wasm_v128_load32_splat(w + 2), sum);
}

static inline __attribute__((always_inline)) v128_t row_x4(v128_t sum, const f32 *p, const f32 *w) {
  return taps_x4(sum, wasm_v128_load(p), wasm_v128_load(p + 1), wasm_v128_load(p + 2), w);
}

static inline __attribute__((always_inline)) v128_t point_x4(const f32 *p, i32 width, const f32 *w) {
  v128_t sum = wasm_f32x4_const_splat(0);
#if defined(FT_UNROLL) || defined(FT_TILING)
  sum = row_x4(sum, p, w);
  sum = row_x4(sum, p + width, w + 3);
  sum = row_x4(sum, p + 2 * width, w + 6);
#else
  UNROLL(1)
  for (i32 row = 0; row < 3; row++) sum = row_x4(sum, p + row * width, w + 3 * row);
#endif
  return sum;
}
#endif

EXPORT void run(const f32 *restrict image, const f32 *restrict w, f32 *restrict out, i32 width, i32 height) {
  i32 out_width = width - 2, y = 0;
  if (out_width <= 0) return;
#ifdef FT_TILING
  for (; y + 2 <= height - 2; y += 2) {
    const f32 *p = image + y * width;
    f32 *upper = out + y * out_width, *lower = upper + out_width;
    i32 x = 0;
#ifdef FT_SIMD
    for (; x + 4 <= out_width; x += 4) {
      v128_t top = wasm_f32x4_const_splat(0), bottom = top;
      ALWAYS_UNROLL
      for (i32 row = 0; row < 4; row++) {
        const f32 *q = p + row * width + x;
        v128_t p0 = wasm_v128_load(q), p1 = wasm_v128_load(q + 1), p2 = wasm_v128_load(q + 2);
        if (row < 3) top = taps_x4(top, p0, p1, p2, w + 3 * row);
        if (row > 0) bottom = taps_x4(bottom, p0, p1, p2, w + 3 * row - 3);
      }
      wasm_v128_store(upper + x, top);
      wasm_v128_store(lower + x, bottom);
    }
#endif
    for (; x < out_width; x++) {
      f32 top = 0, bottom = 0;
      ALWAYS_UNROLL
      for (i32 row = 0; row < 4; row++) {
        const f32 *q = p + row * width + x;
        if (row < 3) top = taps(top, q, w + 3 * row);
        if (row > 0) bottom = taps(bottom, q, w + 3 * row - 3);
      }
      upper[x] = top;
      lower[x] = bottom;
    }
  }
#endif
  for (; y < height - 2; y++) {
    const f32 *p = image + y * width;
    f32 *line = out + y * out_width;
    i32 x = 0;
#ifdef FT_SIMD
    for (; x + 4 <= out_width; x += 4) wasm_v128_store(line + x, point_x4(p + x, width, w));
#endif
    for (; x < out_width; x++) line[x] = point(p + x, width, w);
  }
}
