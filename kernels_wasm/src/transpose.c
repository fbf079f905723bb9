/* Transpose of a rows × cols f32 matrix. Writing down columns touches a cache line per element: tiling stays inside 16 × 16
 * blocks, SIMD turns 4 × 4 blocks in registers. */
#include "fleetune.h"

INLINE void move(f32 *to, const f32 *from) { *to = *from; }

#ifdef FT_SIMD
INLINE void turn_4x4(const f32 *a, f32 *out, i32 rows, i32 cols) {
  v128_t r0 = wasm_v128_load(a), r1 = wasm_v128_load(a + cols);
  v128_t r2 = wasm_v128_load(a + 2 * cols), r3 = wasm_v128_load(a + 3 * cols);
  v128_t t0 = wasm_i32x4_shuffle(r0, r1, 0, 4, 1, 5), t1 = wasm_i32x4_shuffle(r2, r3, 0, 4, 1, 5);
  v128_t t2 = wasm_i32x4_shuffle(r0, r1, 2, 6, 3, 7), t3 = wasm_i32x4_shuffle(r2, r3, 2, 6, 3, 7);
  wasm_v128_store(out, wasm_i64x2_shuffle(t0, t1, 0, 2));
  wasm_v128_store(out + rows, wasm_i64x2_shuffle(t0, t1, 1, 3));
  wasm_v128_store(out + 2 * rows, wasm_i64x2_shuffle(t2, t3, 0, 2));
  wasm_v128_store(out + 3 * rows, wasm_i64x2_shuffle(t2, t3, 1, 3));
}
#endif

/* The part of the matrix in [r0, r1) × [c0, c1). */
static inline __attribute__((always_inline)) void
block(const f32 *restrict a, f32 *restrict out, i32 rows, i32 cols, i32 r0, i32 r1, i32 c0, i32 c1) {
  i32 r = r0;
#ifdef FT_SIMD
  for (; r + 4 <= r1; r += 4) {
    i32 c = c0;
    UNROLL(2)
    for (; c + 4 <= c1; c += 4) turn_4x4(a + r * cols + c, out + c * rows + r, rows, cols);
    for (; c < c1; c++)
      for (i32 k = 0; k < 4; k++) move(out + c * rows + r + k, a + (r + k) * cols + c);
  }
#endif
  for (; r < r1; r++) {
    UNROLL(4)
    for (i32 c = c0; c < c1; c++) move(out + c * rows + r, a + r * cols + c);
  }
}

EXPORT void run(const f32 *restrict a, f32 *restrict out, i32 rows, i32 cols) {
#ifdef FT_TILING
  for (i32 r = 0; r < rows; r += 16)
    for (i32 c = 0; c < cols; c += 16)
      block(a, out, rows, cols, r, r + 16 < rows ? r + 16 : rows, c, c + 16 < cols ? c + 16 : cols);
#else
  block(a, out, rows, cols, 0, rows, 0, cols);
#endif
}
