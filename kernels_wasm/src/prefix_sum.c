/* Inclusive prefix sum of i32, wrapping. The chain of additions is the cost: tiling sums four neighbours first and joins
 * them to the chain with one addition; SIMD does the same inside a vector with shifted copies. */
#include "fleetune.h"

INLINE i32 add(i32 sum, i32 value) { return (i32)((u32)sum + (u32)value); }

#ifdef FT_SIMD
/* Prefix sums within a vector, then the running total added to every lane. */
INLINE v128_t scan_x4(v128_t v, v128_t carry) {
  v128_t zero = wasm_i32x4_const_splat(0);
  v = wasm_i32x4_add(v, wasm_i32x4_shuffle(zero, v, 0, 4, 5, 6));
  v = wasm_i32x4_add(v, wasm_i32x4_shuffle(zero, v, 0, 1, 4, 5));
  return wasm_i32x4_add(v, carry);
}
#endif

EXPORT void run(const i32 *restrict in, i32 *restrict out, i32 n) {
  i32 i = 0, sum = 0;
#ifdef FT_SIMD
  v128_t carry = wasm_i32x4_const_splat(0);
  UNROLL(4)
  for (; i + 4 <= n; i += 4) {
    v128_t v = scan_x4(wasm_v128_load(in + i), carry);
    wasm_v128_store(out + i, v);
    carry = wasm_i32x4_shuffle(v, v, 3, 3, 3, 3);
  }
  sum = wasm_i32x4_extract_lane(carry, 0);
#elif defined(FT_TILING)
  UNROLL(2)
  for (; i + 4 <= n; i += 4) {
    i32 a = in[i], b = add(a, in[i + 1]), c = in[i + 2], d = add(c, in[i + 3]);
    out[i] = add(sum, a);
    out[i + 1] = add(sum, b);
    out[i + 2] = add(add(sum, b), c);
    sum = add(sum, add(b, d));
    out[i + 3] = sum;
  }
#endif
  UNROLL(4)
  for (; i < n; i++) {
    sum = add(sum, in[i]);
    out[i] = sum;
  }
}
