/* Sum of every stride-th f32. Each element costs a cache line once the stride is long; SIMD has to gather by lane.
 * Blocks are summed in f64, so that long sums do not drift. */
#include "fleetune.h"

#define BLOCK 1024

INLINE f32 add(f32 sum, const f32 *p) { return sum + *p; }

#ifdef FT_SIMD
INLINE v128_t add_x4(v128_t sum, const f32 *p, i32 stride) {
  v128_t v = wasm_v128_load32_zero(p);
  v = wasm_v128_load32_lane(p + stride, v, 1);
  v = wasm_v128_load32_lane(p + 2 * stride, v, 2);
  return wasm_f32x4_add(sum, wasm_v128_load32_lane(p + 3 * stride, v, 3));
}
#endif

INLINE f32 block(const f32 *a, i32 n, i32 stride) {
  i32 i = 0;
  f32 sum = 0;
#ifdef FT_SIMD
  v128_t s0 = wasm_f32x4_const_splat(0);
#ifdef FT_UNROLL
  v128_t s1 = s0;
  for (; i + 8 <= n; i += 8, a += 8 * stride) {
    s0 = add_x4(s0, a, stride);
    s1 = add_x4(s1, a + 4 * stride, stride);
  }
  s0 = wasm_f32x4_add(s0, s1);
#endif
  UNROLL(1)
  for (; i + 4 <= n; i += 4, a += 4 * stride) s0 = add_x4(s0, a, stride);
  sum = sum_f32x4(s0);
#elif defined(FT_UNROLL)
  f32 s1 = 0, s2 = 0, s3 = 0;
  for (; i + 4 <= n; i += 4, a += 4 * stride) {
    sum = add(sum, a);
    s1 = add(s1, a + stride);
    s2 = add(s2, a + 2 * stride);
    s3 = add(s3, a + 3 * stride);
  }
  sum = (sum + s1) + (s2 + s3);
#endif
  for (; i < n; i++, a += stride) sum = add(sum, a);
  return sum;
}

EXPORT f32 run(const f32 *a, i32 n, i32 stride) {
  f64 sum = 0;
  UNROLL(1)
  for (; n > BLOCK; n -= BLOCK, a += BLOCK * stride) sum += block(a, BLOCK, stride);
  return (f32)(sum + block(a, n, stride));
}
