/* out[i] = table[index[i]], f32; NaN where an index is not below `entries`. Vectors have no gather in WebAssembly: they load
 * lane by lane and save the stores. `swizzle` answers from registers when the table has at most 16 entries. */
#include "fleetune.h"

INLINE f32 look_up(const f32 *table, u32 index, u32 entries) {
  return index < entries ? table[index] : __builtin_nanf("");
}

#ifdef FT_SIMD
/* Four indices at once; what lies outside is looked up at 0 and then replaced. `entries` is at least 1. */
INLINE v128_t look_up_x4(const f32 *table, const i32 *index, v128_t entries) {
  v128_t at = wasm_v128_load(index), inside = wasm_u32x4_lt(at, entries);
  at = wasm_v128_and(at, inside);
  v128_t v = wasm_v128_load32_zero(table + wasm_i32x4_extract_lane(at, 0));
  v = wasm_v128_load32_lane(table + wasm_i32x4_extract_lane(at, 1), v, 1);
  v = wasm_v128_load32_lane(table + wasm_i32x4_extract_lane(at, 2), v, 2);
  v = wasm_v128_load32_lane(table + wasm_i32x4_extract_lane(at, 3), v, 3);
  return wasm_v128_or(v, wasm_v128_not(inside)); /* all ones are a NaN */
}

#ifdef FT_SWIZZLE
/* swizzle gives 0 for a byte index past 15, so the four quarters of the table can be or-ed together. */
INLINE v128_t look_up_registers(v128_t t0, v128_t t1, v128_t t2, v128_t t3, v128_t index,
                                v128_t entries) {
  v128_t bytes = wasm_i32x4_add(wasm_i32x4_mul(index, wasm_i32x4_const_splat(0x04040404)),
                                wasm_i32x4_const_splat(0x03020100));
  v128_t quarter = wasm_i8x16_const_splat(16);
  v128_t b1 = wasm_i8x16_sub(bytes, quarter), b2 = wasm_i8x16_sub(b1, quarter), b3 = wasm_i8x16_sub(b2, quarter);
  v128_t found = wasm_v128_or(wasm_v128_or(wasm_i8x16_swizzle(t0, bytes), wasm_i8x16_swizzle(t1, b1)),
                              wasm_v128_or(wasm_i8x16_swizzle(t2, b2), wasm_i8x16_swizzle(t3, b3)));
  return wasm_v128_or(found, wasm_u32x4_ge(index, entries)); /* all ones are a NaN */
}
#endif
#endif

EXPORT void run(const f32 *table, const i32 *index, f32 *out, i32 n, i32 entries) {
  i32 i = 0;
#ifdef FT_SIMD
  v128_t most = wasm_i32x4_splat(entries);
#endif
#ifdef FT_SWIZZLE
  if (entries <= 16 && n >= 16) {
    f32 padded[16] __attribute__((aligned(16)));
    for (i32 k = 0; k < 16; k++) padded[k] = k < entries ? table[k] : 0;
    v128_t t0 = wasm_v128_load(padded), t1 = wasm_v128_load(padded + 4);
    v128_t t2 = wasm_v128_load(padded + 8), t3 = wasm_v128_load(padded + 12);
    UNROLL(2)
    for (; i + 4 <= n; i += 4) wasm_v128_store(out + i, look_up_registers(t0, t1, t2, t3, wasm_v128_load(index + i), most));
  }
#endif
#ifdef FT_SIMD
  UNROLL(4)
  for (; entries > 0 && i + 4 <= n; i += 4) wasm_v128_store(out + i, look_up_x4(table, index + i, most));
#endif
  UNROLL(4)
  for (; i < n; i++) out[i] = look_up(table, (u32)index[i], (u32)entries);
}
