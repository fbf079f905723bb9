/* out = a·x + y over f32 vectors: three streams, almost no arithmetic. */
#include "fleetune.h"

INLINE f32 scale_add(f32 a, f32 x, f32 y) { return a * x + y; }

#ifdef FT_SIMD
INLINE void scale_add_x4(v128_t a, const f32 *x, const f32 *y, f32 *out) {
  wasm_v128_store(out, MADD_F32X4(a, wasm_v128_load(x), wasm_v128_load(y)));
}
#endif

EXPORT void run(f32 a, const f32 *restrict x, const f32 *restrict y, f32 *restrict out, i32 n) {
  i32 i = 0;
#ifdef FT_SIMD
  v128_t a4 = wasm_f32x4_splat(a);
  UNROLL(4)
  for (; i + 4 <= n; i += 4) scale_add_x4(a4, x + i, y + i, out + i);
#elif defined(FT_UNROLL)
  for (; i + 4 <= n; i += 4) {
    f32 r0 = scale_add(a, x[i], y[i]), r1 = scale_add(a, x[i + 1], y[i + 1]);
    f32 r2 = scale_add(a, x[i + 2], y[i + 2]), r3 = scale_add(a, x[i + 3], y[i + 3]);
    out[i] = r0;
    out[i + 1] = r1;
    out[i + 2] = r2;
    out[i + 3] = r3;
  }
#endif
  for (; i < n; i++) out[i] = scale_add(a, x[i], y[i]);
}
