/* Luminance of n RGBA pixels: (38 R + 75 G + 15 B + 64) >> 7, the BT.601 weights in 7 bits; alpha is ignored.
 * `swar` multiplies red and blue at once in one 32-bit word; `relaxedSimd` uses the i8 × i7 dot product. */
#include "fleetune.h"

#ifdef FT_SWAR
INLINE u8 grey(const u8 *pixel) {
  u32 word = LOAD_U32(pixel), red_blue = word & 0x00ff00ff;
  /* Bits 16-31 of the product: 38 R + 15 B; what lies lower cannot carry into them. */
  return (u8)(((red_blue * (38u << 16 | 15u) >> 16) + (word >> 8 & 255) * 75 + 64) >> 7);
}
#else
INLINE u8 grey(const u8 *pixel) { return (u8)((38 * pixel[0] + 75 * pixel[1] + 15 * pixel[2] + 64) >> 7); }
#endif

#ifdef FT_SIMD
INLINE v128_t grey_x4(v128_t pixels) {
#ifdef FT_RELAXED
  /* Bytes are taken as signed: subtract 128 and give back 128 · (38 + 75 + 15). */
  v128_t sum = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(
      wasm_v128_xor(pixels, wasm_i8x16_const_splat(-128)),
      wasm_i8x16_const(38, 75, 15, 0, 38, 75, 15, 0, 38, 75, 15, 0, 38, 75, 15, 0), wasm_i32x4_const_splat(128 * 128 + 64));
#else
  v128_t bytes = wasm_i32x4_const_splat(0x00ff00ff);
  v128_t red_blue = wasm_i32x4_dot_i16x8(wasm_v128_and(pixels, bytes), wasm_i16x8_const(38, 15, 38, 15, 38, 15, 38, 15));
  v128_t green = wasm_i32x4_dot_i16x8(wasm_u16x8_shr(pixels, 8), wasm_i16x8_const(75, 0, 75, 0, 75, 0, 75, 0));
  v128_t sum = wasm_i32x4_add(wasm_i32x4_add(red_blue, green), wasm_i32x4_const_splat(64));
#endif
  return wasm_u32x4_shr(sum, 7);
}

INLINE v128_t grey_x16(const u8 *pixels) {
  v128_t low = wasm_i16x8_narrow_i32x4(grey_x4(wasm_v128_load(pixels)), grey_x4(wasm_v128_load(pixels + 16)));
  v128_t high = wasm_i16x8_narrow_i32x4(grey_x4(wasm_v128_load(pixels + 32)), grey_x4(wasm_v128_load(pixels + 48)));
  return wasm_u8x16_narrow_i16x8(low, high);
}
#endif

EXPORT void run(const u8 *pixels, u8 *out, i32 n) {
  i32 i = 0;
#ifdef FT_SIMD
  UNROLL(2)
  for (; i + 16 <= n; i += 16) wasm_v128_store(out + i, grey_x16(pixels + 4 * i));
#endif
  UNROLL(4)
  for (; i < n; i++) out[i] = grey(pixels + 4 * i);
}
