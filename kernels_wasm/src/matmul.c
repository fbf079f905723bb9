/* c = a·b, square row-major f32. scalar: the textbook i-j-k loop, whose walk down b's columns strides.
 * loopInterchange: i-k-j, every inner access runs along a row. tiling: a block of four rows (by four columns, eight
 * with SIMD and unrolling) stays in registers over the whole k loop. */
#include "fleetune.h"

INLINE f32 multiply_add(f32 sum, f32 a, f32 b) { return sum + a * b; }

#ifdef FT_SIMD
INLINE v128_t multiply_add_x4(v128_t sum, f32 a, v128_t b) { return MADD_F32X4(wasm_f32x4_splat(a), b, sum); }
#endif

static inline __attribute__((always_inline)) void
rest(const f32 *a, const f32 *b, f32 *c, i32 n, i32 i, i32 from, i32 to) {
  for (i32 j = from; j < to; j++) {
    f32 sum = 0;
    UNROLL(4)
    for (i32 k = 0; k < n; k++) sum = multiply_add(sum, a[i * n + k], b[k * n + j]);
    c[i * n + j] = sum;
  }
}

#ifdef FT_TILING
#ifdef FT_SIMD
#define STORE_ROW(i, s) wasm_v128_store(c + (i) * n + j, s)
/* Four rows by four columns. */
static inline __attribute__((always_inline)) void block4(const f32 *a, const f32 *b, f32 *c, i32 n, i32 i, i32 j) {
  const f32 *a0 = a + i * n, *a1 = a0 + n, *a2 = a1 + n, *a3 = a2 + n;
  v128_t s0 = wasm_f32x4_const_splat(0), s1 = s0, s2 = s0, s3 = s0;
  UNROLL(1)
  for (i32 k = 0; k < n; k++) {
    v128_t row = wasm_v128_load(b + k * n + j);
    s0 = multiply_add_x4(s0, a0[k], row);
    s1 = multiply_add_x4(s1, a1[k], row);
    s2 = multiply_add_x4(s2, a2[k], row);
    s3 = multiply_add_x4(s3, a3[k], row);
  }
  STORE_ROW(i, s0), STORE_ROW(i + 1, s1), STORE_ROW(i + 2, s2), STORE_ROW(i + 3, s3);
}
#ifdef FT_UNROLL
/* Four rows by eight columns: eight chains hide the latency of the additions. */
static inline __attribute__((always_inline)) void block8(const f32 *a, const f32 *b, f32 *c, i32 n, i32 i, i32 j) {
  const f32 *a0 = a + i * n, *a1 = a0 + n, *a2 = a1 + n, *a3 = a2 + n;
  v128_t s0 = wasm_f32x4_const_splat(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
  UNROLL(1)
  for (i32 k = 0; k < n; k++) {
    v128_t left = wasm_v128_load(b + k * n + j), right = wasm_v128_load(b + k * n + j + 4);
    s0 = multiply_add_x4(s0, a0[k], left), t0 = multiply_add_x4(t0, a0[k], right);
    s1 = multiply_add_x4(s1, a1[k], left), t1 = multiply_add_x4(t1, a1[k], right);
    s2 = multiply_add_x4(s2, a2[k], left), t2 = multiply_add_x4(t2, a2[k], right);
    s3 = multiply_add_x4(s3, a3[k], left), t3 = multiply_add_x4(t3, a3[k], right);
  }
  STORE_ROW(i, s0), STORE_ROW(i + 1, s1), STORE_ROW(i + 2, s2), STORE_ROW(i + 3, s3);
  j += 4;
  STORE_ROW(i, t0), STORE_ROW(i + 1, t1), STORE_ROW(i + 2, t2), STORE_ROW(i + 3, t3);
}
#endif
#else
/* Two rows by two columns: what scalar registers hold. */
static inline __attribute__((always_inline)) void block2(const f32 *a, const f32 *b, f32 *c, i32 n, i32 i, i32 j) {
  const f32 *a0 = a + i * n, *a1 = a0 + n;
  f32 s00 = 0, s01 = 0, s10 = 0, s11 = 0;
  UNROLL(2)
  for (i32 k = 0; k < n; k++) {
    f32 left = b[k * n + j], right = b[k * n + j + 1];
    s00 = multiply_add(s00, a0[k], left), s01 = multiply_add(s01, a0[k], right);
    s10 = multiply_add(s10, a1[k], left), s11 = multiply_add(s11, a1[k], right);
  }
  c[i * n + j] = s00, c[i * n + j + 1] = s01;
  c[(i + 1) * n + j] = s10, c[(i + 1) * n + j + 1] = s11;
}
#endif
#endif

EXPORT void run(const f32 *restrict a, const f32 *restrict b, f32 *restrict c, i32 n) {
  i32 i = 0;
#if defined(FT_INTERCHANGE)
  for (; i < n; i++) {
    f32 *row = c + i * n;
    for (i32 j = 0; j < n; j++) row[j] = 0;
    for (i32 k = 0; k < n; k++) {
      f32 factor = a[i * n + k];
      const f32 *other = b + k * n;
      i32 j = 0;
#ifdef FT_SIMD
      UNROLL(4)
      for (; j + 4 <= n; j += 4)
        wasm_v128_store(row + j, multiply_add_x4(wasm_v128_load(row + j), factor, wasm_v128_load(other + j)));
#endif
      UNROLL(4)
      for (; j < n; j++) row[j] = multiply_add(row[j], factor, other[j]);
    }
  }
#elif defined(FT_TILING) && defined(FT_SIMD)
  for (; i + 4 <= n; i += 4) {
    i32 j = 0;
#ifdef FT_UNROLL
    for (; j + 8 <= n; j += 8) block8(a, b, c, n, i, j);
#endif
    for (; j + 4 <= n; j += 4) block4(a, b, c, n, i, j);
    for (i32 r = i; r < i + 4; r++) rest(a, b, c, n, r, j, n);
  }
  for (; i < n; i++) rest(a, b, c, n, i, 0, n);
#elif defined(FT_TILING)
  for (; i + 2 <= n; i += 2) {
    i32 j = 0;
    for (; j + 2 <= n; j += 2) block2(a, b, c, n, i, j);
    for (i32 r = i; r < i + 2; r++) rest(a, b, c, n, r, j, n);
  }
  for (; i < n; i++) rest(a, b, c, n, i, 0, n);
#else
  for (; i < n; i++) {
    i32 j = 0;
#ifdef FT_SIMD
    for (; j + 4 <= n; j += 4) {
      v128_t sum = wasm_f32x4_const_splat(0);
      UNROLL(4)
      for (i32 k = 0; k < n; k++) sum = multiply_add_x4(sum, a[i * n + k], wasm_v128_load(b + k * n + j));
      wasm_v128_store(c + i * n + j, sum);
    }
#endif
    rest(a, b, c, n, i, j, n);
  }
#endif
}
