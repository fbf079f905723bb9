/* Matrix times vector, row-major f32. Tiling takes four rows at once, so that each element of the vector is loaded
 * once for four products; unrolling keeps several accumulators a row. */
#include "fleetune.h"

INLINE f32 multiply_add(f32 sum, f32 a, f32 b) { return sum + a * b; }

#ifdef FT_SIMD
INLINE v128_t multiply_add_x4(v128_t sum, const f32 *a, v128_t b) { return MADD_F32X4(wasm_v128_load(a), b, sum); }
#endif

static inline __attribute__((always_inline)) f32 one_row(const f32 *row, const f32 *v, i32 cols) {
  i32 c = 0;
  f32 sum = 0;
#ifdef FT_SIMD
  v128_t s0 = wasm_f32x4_const_splat(0);
#ifdef FT_UNROLL
  v128_t s1 = s0;
  for (; c + 8 <= cols; c += 8) {
    s0 = multiply_add_x4(s0, row + c, wasm_v128_load(v + c));
    s1 = multiply_add_x4(s1, row + c + 4, wasm_v128_load(v + c + 4));
  }
  s0 = wasm_f32x4_add(s0, s1);
#endif
  UNROLL(1)
  for (; c + 4 <= cols; c += 4) s0 = multiply_add_x4(s0, row + c, wasm_v128_load(v + c));
  sum = sum_f32x4(s0);
#elif defined(FT_UNROLL)
  f32 s1 = 0, s2 = 0, s3 = 0;
  for (; c + 4 <= cols; c += 4) {
    sum = multiply_add(sum, row[c], v[c]);
    s1 = multiply_add(s1, row[c + 1], v[c + 1]);
    s2 = multiply_add(s2, row[c + 2], v[c + 2]);
    s3 = multiply_add(s3, row[c + 3], v[c + 3]);
  }
  sum = (sum + s1) + (s2 + s3);
#endif
  for (; c < cols; c++) sum = multiply_add(sum, row[c], v[c]);
  return sum;
}

#ifdef FT_TILING
static inline __attribute__((always_inline)) void four_rows(const f32 *m, const f32 *v, f32 *out, i32 cols) {
  const f32 *m0 = m, *m1 = m + cols, *m2 = m1 + cols, *m3 = m2 + cols;
  f32 r0 = 0, r1 = 0, r2 = 0, r3 = 0;
  i32 c = 0;
#ifdef FT_SIMD
  v128_t s0 = wasm_f32x4_const_splat(0), s1 = s0, s2 = s0, s3 = s0;
  UNROLL(2)
  for (; c + 4 <= cols; c += 4) {
    v128_t b = wasm_v128_load(v + c);
    s0 = multiply_add_x4(s0, m0 + c, b);
    s1 = multiply_add_x4(s1, m1 + c, b);
    s2 = multiply_add_x4(s2, m2 + c, b);
    s3 = multiply_add_x4(s3, m3 + c, b);
  }
  r0 = sum_f32x4(s0), r1 = sum_f32x4(s1), r2 = sum_f32x4(s2), r3 = sum_f32x4(s3);
#endif
  UNROLL(2)
  for (; c < cols; c++) {
    f32 b = v[c];
    r0 = multiply_add(r0, m0[c], b);
    r1 = multiply_add(r1, m1[c], b);
    r2 = multiply_add(r2, m2[c], b);
    r3 = multiply_add(r3, m3[c], b);
  }
  out[0] = r0, out[1] = r1, out[2] = r2, out[3] = r3;
}
#endif

EXPORT void run(const f32 *m, const f32 *v, f32 *out, i32 rows, i32 cols) {
  i32 r = 0;
#ifdef FT_TILING
  for (; r + 4 <= rows; r += 4) four_rows(m + r * cols, v, out + r, cols);
#endif
  for (; r < rows; r++) out[r] = one_row(m + r * cols, v, cols);
}
