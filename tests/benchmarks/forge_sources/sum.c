/* Sum of f32 as the catalogue's dot is written by hand: four accumulators of vectors. Compiled by forge.py. */
#ifdef FT_SIMD
#include <wasm_simd128.h>
#endif

__attribute__((export_name("run"), visibility("default"))) float run(const float *a, int n) {
  int i = 0;
  float sum = 0;
#ifdef FT_SIMD
  v128_t s0 = wasm_f32x4_const_splat(0), s1 = s0, s2 = s0, s3 = s0;
#pragma clang loop unroll(disable)
  for (; i + 16 <= n; i += 16) {
    s0 = wasm_f32x4_add(s0, wasm_v128_load(a + i));
    s1 = wasm_f32x4_add(s1, wasm_v128_load(a + i + 4));
    s2 = wasm_f32x4_add(s2, wasm_v128_load(a + i + 8));
    s3 = wasm_f32x4_add(s3, wasm_v128_load(a + i + 12));
  }
  s0 = wasm_f32x4_add(wasm_f32x4_add(s0, s1), wasm_f32x4_add(s2, s3));
#pragma clang loop unroll(disable)
  for (; i + 4 <= n; i += 4) s0 = wasm_f32x4_add(s0, wasm_v128_load(a + i));
  s0 = wasm_f32x4_add(s0, wasm_i32x4_shuffle(s0, s0, 2, 3, 0, 1));
  sum = wasm_f32x4_extract_lane(s0, 0) + wasm_f32x4_extract_lane(s0, 1);
#endif
#pragma clang loop unroll(disable)
  for (; i < n; i++) sum += a[i];
  return sum;
}
