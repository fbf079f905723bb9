/* Index of the first greatest f32. NaN never counts; −1 if nothing is greater than −infinity (so also for n = 0).
 * Branchless code selects instead of jumping: slower on random data (a new maximum is rare), faster on rising data. */
#include "fleetune.h"

INLINE i32 greater(f32 value, f32 best) { return value > best; }

#ifdef FT_SIMD
INLINE v128_t greater_x4(v128_t value, v128_t best) { return wasm_f32x4_gt(value, best); }
#endif

EXPORT i32 run(const f32 *a, i32 n) {
  f32 best = -__builtin_inff();
  i32 at = -1, i = 0;
#ifdef FT_SIMD
  v128_t best0 = wasm_f32x4_splat(best), at0 = wasm_i32x4_const_splat(-1);
#ifdef FT_UNROLL
  v128_t best1 = best0, at1 = at0, step = wasm_i32x4_const_splat(8);
  v128_t here = wasm_i32x4_const(0, 1, 2, 3), there = wasm_i32x4_const(4, 5, 6, 7);
  for (; i + 8 <= n; i += 8) {
    v128_t v0 = wasm_v128_load(a + i), v1 = wasm_v128_load(a + i + 4);
    v128_t more0 = greater_x4(v0, best0), more1 = greater_x4(v1, best1);
    best0 = wasm_v128_bitselect(v0, best0, more0);
    best1 = wasm_v128_bitselect(v1, best1, more1);
    at0 = wasm_v128_bitselect(here, at0, more0);
    at1 = wasm_v128_bitselect(there, at1, more1);
    here = wasm_i32x4_add(here, step);
    there = wasm_i32x4_add(there, step);
  }
  {
    v128_t tie = wasm_v128_and(wasm_f32x4_eq(best1, best0), wasm_i32x4_lt(at1, at0));
    v128_t more = wasm_v128_or(wasm_f32x4_gt(best1, best0), tie);
    best0 = wasm_v128_bitselect(best1, best0, more);
    at0 = wasm_v128_bitselect(at1, at0, more);
  }
#endif
#ifdef FT_BRANCHLESS
#define SKIP(more) 0
#else
#define SKIP(more) (!wasm_v128_any_true(more))
#endif
  UNROLL(1)
  for (; i + 4 <= n; i += 4) {
    v128_t v = wasm_v128_load(a + i), more = greater_x4(v, best0);
    if (SKIP(more)) continue;
    best0 = wasm_v128_bitselect(v, best0, more);
    at0 = wasm_v128_bitselect(wasm_i32x4_add(wasm_i32x4_splat(i), wasm_i32x4_const(0, 1, 2, 3)), at0, more);
  }
  f32 bests[4];
  i32 places[4];
  wasm_v128_store(bests, best0);
  wasm_v128_store(places, at0);
  ALWAYS_UNROLL
  for (i32 lane = 0; lane < 4; lane++)
    if (places[lane] >= 0 && (bests[lane] > best || (bests[lane] == best && places[lane] < at))) {
      best = bests[lane];
      at = places[lane];
    }
#elif defined(FT_UNROLL)
  f32 best1 = best;
  i32 at1 = -1;
  for (; i + 2 <= n; i += 2) {
    f32 v0 = a[i], v1 = a[i + 1];
#ifdef FT_BRANCHLESS
    i32 more0 = greater(v0, best), more1 = greater(v1, best1);
    best = more0 ? v0 : best;
    at = more0 ? i : at;
    best1 = more1 ? v1 : best1;
    at1 = more1 ? i + 1 : at1;
#else
    if (__builtin_expect(greater(v0, best), 0)) best = v0, at = i;
    if (__builtin_expect(greater(v1, best1), 0)) best1 = v1, at1 = i + 1;
#endif
  }
  if (best1 > best || (best1 == best && at1 >= 0 && at1 < at)) best = best1, at = at1;
#endif
#ifdef FT_BRANCHLESS
  for (; i < n; i++) {
    i32 more = greater(a[i], best);
    best = more ? a[i] : best;
    at = more ? i : at;
  }
#else
  for (; i < n; i++)
    if (__builtin_expect(greater(a[i], best), 0)) {
      best = a[i];
      at = i;
    }
#endif
  return at;
}
