/* Values above `threshold`, in order, to the front of `out`; the rest of `out` becomes zero. Returns their number.
 * Branching is cheap when nearly all or nearly no values pass, dear in between; `branchless` always stores and
 * moves on by 0 or 1; `lookupTable+vectorization` packs four values with a shuffle chosen by their mask. */
#include "fleetune.h"

#ifdef FT_BRANCHLESS
INLINE i32 keep(f32 *out, i32 count, f32 value, f32 threshold) {
  out[count] = value;
  return count + (value > threshold);
}
#else
INLINE i32 keep(f32 *out, i32 count, f32 value, f32 threshold) {
  if (value > threshold) out[count++] = value;
  return count;
}
#endif

#ifdef FT_SIMD
#ifdef FT_LOOKUP
#define LANE(k) 4 * (k), 4 * (k) + 1, 4 * (k) + 2, 4 * (k) + 3
#define GONE LANE(4)
/* Mask of the lanes to keep → bytes to take. */
static const u8 packing[16][16] __attribute__((aligned(16))) = {
    {GONE, GONE, GONE, GONE},          {LANE(0), GONE, GONE, GONE},       {LANE(1), GONE, GONE, GONE},
    {LANE(0), LANE(1), GONE, GONE},    {LANE(2), GONE, GONE, GONE},       {LANE(0), LANE(2), GONE, GONE},
    {LANE(1), LANE(2), GONE, GONE},    {LANE(0), LANE(1), LANE(2), GONE}, {LANE(3), GONE, GONE, GONE},
    {LANE(0), LANE(3), GONE, GONE},    {LANE(1), LANE(3), GONE, GONE},    {LANE(0), LANE(1), LANE(3), GONE},
    {LANE(2), LANE(3), GONE, GONE},    {LANE(0), LANE(2), LANE(3), GONE}, {LANE(1), LANE(2), LANE(3), GONE},
    {LANE(0), LANE(1), LANE(2), LANE(3)}};

/* Stores four floats at out[count..]: there is room, as count never passes the reading position. */
INLINE i32 keep_x4(f32 *out, i32 count, v128_t values, v128_t threshold) {
  i32 mask = (i32)wasm_i32x4_bitmask(wasm_f32x4_gt(values, threshold));
  wasm_v128_store(out + count, wasm_i8x16_swizzle(values, wasm_v128_load(packing[mask])));
  return count + __builtin_popcount(mask);
}
#else
INLINE i32 keep_x4(f32 *out, i32 count, v128_t values, v128_t threshold) {
  i32 mask = (i32)wasm_i32x4_bitmask(wasm_f32x4_gt(values, threshold));
  if (mask == 15) {
    wasm_v128_store(out + count, values);
    return count + 4;
  }
  if (mask & 1) out[count++] = wasm_f32x4_extract_lane(values, 0);
  if (mask & 2) out[count++] = wasm_f32x4_extract_lane(values, 1);
  if (mask & 4) out[count++] = wasm_f32x4_extract_lane(values, 2);
  if (mask & 8) out[count++] = wasm_f32x4_extract_lane(values, 3);
  return count;
}
#endif
#endif

INLINE void clear(f32 *out, i32 from, i32 n) {
#ifdef FT_BULK
  __builtin_memset(out + from, 0, 4 * (n - from));
#else
#ifdef FT_SIMD
  UNROLL(1)
  for (; from + 4 <= n; from += 4) wasm_v128_store(out + from, wasm_f32x4_const_splat(0));
#endif
  UNROLL(4)
  for (; from < n; from++) out[from] = 0;
#endif
}

EXPORT i32 run(const f32 *in, f32 *out, i32 n, f32 threshold) {
  i32 i = 0, count = 0;
#ifdef FT_SIMD
  v128_t limit = wasm_f32x4_splat(threshold);
  UNROLL(4)
  for (; i + 4 <= n; i += 4) {
    v128_t values = wasm_v128_load(in + i);
#ifndef FT_LOOKUP
    if (!wasm_v128_any_true(wasm_f32x4_gt(values, limit))) continue;
#endif
    count = keep_x4(out, count, values, limit);
  }
#endif
  UNROLL(4)
  for (; i < n; i++) count = keep(out, count, in[i], threshold);
  clear(out, count, n);
  return count;
}
