/* Dot product of two f32 vectors. Unrolled variants keep several accumulators: the addition's latency, not
 * the loop overhead, is what one accumulator waits for. Blocks are summed in f64, so that long sums do not drift. */
#include "fleetune.h"

#define BLOCK 1024

INLINE f32 multiply_add(f32 sum, f32 a, f32 b) { return sum + a * b; }

#ifdef FT_SIMD
INLINE v128_t multiply_add_x4(v128_t sum, const f32 *a, const f32 *b) {
  return MADD_F32X4(wasm_v128_load(a), wasm_v128_load(b), sum);
}
#endif

INLINE f32 block(const f32 *a, const f32 *b, i32 n) {
  i32 i = 0;
  f32 sum = 0;
#ifdef FT_SIMD
  v128_t s0 = wasm_f32x4_const_splat(0);
#ifdef FT_UNROLL
  v128_t s1 = s0, s2 = s0, s3 = s0;
  for (; i + 16 <= n; i += 16) {
    s0 = multiply_add_x4(s0, a + i, b + i);
    s1 = multiply_add_x4(s1, a + i + 4, b + i + 4);
    s2 = multiply_add_x4(s2, a + i + 8, b + i + 8);
    s3 = multiply_add_x4(s3, a + i + 12, b + i + 12);
  }
  s0 = wasm_f32x4_add(wasm_f32x4_add(s0, s1), wasm_f32x4_add(s2, s3));
#endif
  UNROLL(1)
  for (; i + 4 <= n; i += 4) s0 = multiply_add_x4(s0, a + i, b + i);
  sum = sum_f32x4(s0);
#elif defined(FT_UNROLL)
  f32 s1 = 0, s2 = 0, s3 = 0;
  for (; i + 4 <= n; i += 4) {
    sum = multiply_add(sum, a[i], b[i]);
    s1 = multiply_add(s1, a[i + 1], b[i + 1]);
    s2 = multiply_add(s2, a[i + 2], b[i + 2]);
    s3 = multiply_add(s3, a[i + 3], b[i + 3]);
  }
  sum = (sum + s1) + (s2 + s3);
#endif
  for (; i < n; i++) sum = multiply_add(sum, a[i], b[i]);
  return sum;
}

EXPORT f32 run(const f32 *a, const f32 *b, i32 n) {
  f64 sum = 0;
  UNROLL(1)
  for (; n > BLOCK; n -= BLOCK, a += BLOCK, b += BLOCK) sum += block(a, b, BLOCK);
  return (f32)(sum + block(a, b, n));
}
