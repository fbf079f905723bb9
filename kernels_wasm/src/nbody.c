/* Gravitational acceleration of n bodies on one another, all pairs, softened (G = 1), f32, structure of arrays.
 * `symmetric` computes each pair once and applies it to both bodies (Newton's third law): half the square
 * roots, but stores in the inner loop. */
#include "fleetune.h"

#define SOFTENING 1e-2f

/* 1 / √(d² + ε): its cube would be too small for f32 where bodies are far apart and heavy. */
INLINE f32 inverse_distance(f32 dx, f32 dy, f32 dz) {
  return 1.0f / __builtin_elementwise_sqrt(dx * dx + dy * dy + dz * dz + SOFTENING);
}

/* m / (d² + ε)^(3/2) */
INLINE f32 strength(f32 mass, f32 inverse) { return mass * inverse * (inverse * inverse); }

#ifdef FT_SIMD
INLINE v128_t inverse_distance_x4(v128_t dx, v128_t dy, v128_t dz) {
  v128_t d2 = MADD_F32X4(dx, dx, wasm_f32x4_const_splat(SOFTENING));
  d2 = MADD_F32X4(dy, dy, d2);
  d2 = MADD_F32X4(dz, dz, d2);
  return wasm_f32x4_div(wasm_f32x4_const_splat(1), wasm_f32x4_sqrt(d2));
}

INLINE v128_t strength_x4(v128_t mass, v128_t inverse) {
  return wasm_f32x4_mul(wasm_f32x4_mul(mass, inverse), wasm_f32x4_mul(inverse, inverse));
}
#endif

EXPORT void run(const f32 *x, const f32 *y, const f32 *z, const f32 *mass, f32 *ax, f32 *ay, f32 *az, i32 n) {
  f32 least = 1; /* inverse distance: 0 if a distance left f32 */
#ifdef FT_SYMMETRIC
  for (i32 i = 0; i < n; i++) ax[i] = ay[i] = az[i] = 0;
#endif
#ifdef FT_SIMD
  v128_t least4 = wasm_f32x4_const_splat(1);
#endif
  for (i32 i = 0; i < n; i++) {
    f32 xi = x[i], yi = y[i], zi = z[i];
#ifdef FT_SYMMETRIC
    f32 sx = ax[i], sy = ay[i], sz = az[i], mi = mass[i];
    i32 j = i + 1;
#else
    f32 sx = 0, sy = 0, sz = 0;
    i32 j = 0;
#endif
#ifdef FT_SIMD
    v128_t vx = wasm_f32x4_splat(xi), vy = wasm_f32x4_splat(yi), vz = wasm_f32x4_splat(zi);
    v128_t ax4 = wasm_f32x4_const_splat(0), ay4 = ax4, az4 = ax4;
    UNROLL(2)
    for (; j + 4 <= n; j += 4) {
      v128_t dx = wasm_f32x4_sub(wasm_v128_load(x + j), vx);
      v128_t dy = wasm_f32x4_sub(wasm_v128_load(y + j), vy);
      v128_t dz = wasm_f32x4_sub(wasm_v128_load(z + j), vz);
      v128_t inverse = inverse_distance_x4(dx, dy, dz), pull = strength_x4(wasm_v128_load(mass + j), inverse);
      least4 = wasm_f32x4_pmin(least4, inverse);
      ax4 = MADD_F32X4(dx, pull, ax4);
      ay4 = MADD_F32X4(dy, pull, ay4);
      az4 = MADD_F32X4(dz, pull, az4);
#ifdef FT_SYMMETRIC
      v128_t back = strength_x4(wasm_f32x4_splat(mi), inverse);
      wasm_v128_store(ax + j, wasm_f32x4_sub(wasm_v128_load(ax + j), wasm_f32x4_mul(dx, back)));
      wasm_v128_store(ay + j, wasm_f32x4_sub(wasm_v128_load(ay + j), wasm_f32x4_mul(dy, back)));
      wasm_v128_store(az + j, wasm_f32x4_sub(wasm_v128_load(az + j), wasm_f32x4_mul(dz, back)));
#endif
    }
    sx += sum_f32x4(ax4);
    sy += sum_f32x4(ay4);
    sz += sum_f32x4(az4);
#endif
    UNROLL(4)
    for (; j < n; j++) {
      f32 dx = x[j] - xi, dy = y[j] - yi, dz = z[j] - zi;
      f32 inverse = inverse_distance(dx, dy, dz), pull = strength(mass[j], inverse);
      least = inverse < least ? inverse : least;
      sx += dx * pull;
      sy += dy * pull;
      sz += dz * pull;
#ifdef FT_SYMMETRIC
      f32 back = strength(mi, inverse);
      ax[j] -= dx * back;
      ay[j] -= dy * back;
      az[j] -= dz * back;
#endif
    }
    ax[i] = sx;
    ay[i] = sy;
    az[i] = sz;
  }
#ifdef FT_SIMD
  if (wasm_v128_any_true(wasm_f32x4_eq(least4, wasm_f32x4_const_splat(0)))) least = 0;
#endif
  if (least > 0) return;
  ax[0] = __builtin_nanf(""); /* not finite: JavaScript computes it again, in doubles */
}
