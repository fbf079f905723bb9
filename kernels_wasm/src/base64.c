/* Base64 (RFC 4648, padded) of n bytes; `out` holds 4·⌈n/3⌉ characters. Returns their number.
 * `lookupTable` maps 6 bits to a character, `pairTable` 12 bits to two; `vectorization` encodes 12 bytes at a
 * time (Muła, Lemire: Faster Base64 Encoding and Decoding Using AVX2 Instructions, 2018). */
#include "fleetune.h"

#if defined(FT_LOOKUP) || defined(FT_PAIR_TABLE)
static const u8 alphabet[65] __attribute__((nonstring)) =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
INLINE u8 character(u32 value) { return alphabet[value & 63]; }
#elif defined(FT_BRANCHLESS)
INLINE u8 character(u32 value) {
  i32 v = value & 63;
  return (u8)(v + 'A' + ((25 - v) >> 31 & 6) - ((51 - v) >> 31 & 75) - ((61 - v) >> 31 & 15) + ((62 - v) >> 31 & 3));
}
#else
INLINE u8 character(u32 value) {
  value &= 63;
  if (value < 26) return (u8)('A' + value);
  if (value < 52) return (u8)('a' + value - 26);
  if (value < 62) return (u8)('0' + value - 52);
  return value == 62 ? '+' : '/';
}
#endif

#ifdef FT_PAIR_TABLE
#define LETTER(v) ((v) < 26 ? 'A' + (v) : (v) < 52 ? 'a' + (v) - 26 : (v) < 62 ? '0' + (v) - 52 : (v) == 62 ? '+' : '/')
#define PAIR(hi, lo) (u16)(LETTER(hi) | LETTER(lo) << 8)
#define PAIRS_8(hi, lo)                                                                                 \
  PAIR(hi, lo), PAIR(hi, lo + 1), PAIR(hi, lo + 2), PAIR(hi, lo + 3), PAIR(hi, lo + 4), PAIR(hi, lo + 5), \
      PAIR(hi, lo + 6), PAIR(hi, lo + 7)
#define PAIRS_64(hi)                                                                                  \
  PAIRS_8(hi, 0), PAIRS_8(hi, 8), PAIRS_8(hi, 16), PAIRS_8(hi, 24), PAIRS_8(hi, 32), PAIRS_8(hi, 40), \
      PAIRS_8(hi, 48), PAIRS_8(hi, 56)
#define PAIRS_512(hi)                                                                         \
  PAIRS_64(hi), PAIRS_64(hi + 1), PAIRS_64(hi + 2), PAIRS_64(hi + 3), PAIRS_64(hi + 4), PAIRS_64(hi + 5), \
      PAIRS_64(hi + 6), PAIRS_64(hi + 7)
static const u16 pairs[4096] = {PAIRS_512(0),  PAIRS_512(8),  PAIRS_512(16), PAIRS_512(24),
                                PAIRS_512(32), PAIRS_512(40), PAIRS_512(48), PAIRS_512(56)};

INLINE void encode_group(const u8 *in, u8 *out) {
  u32 group = (u32)in[0] << 16 | (u32)in[1] << 8 | in[2];
  STORE_U32(out, pairs[group >> 12] | (u32)pairs[group & 4095] << 16);
}
#else
INLINE void encode_group(const u8 *in, u8 *out) {
  u32 group = (u32)in[0] << 16 | (u32)in[1] << 8 | in[2];
  out[0] = character(group >> 18);
  out[1] = character(group >> 12);
  out[2] = character(group >> 6);
  out[3] = character(group);
}
#endif

#ifdef FT_SIMD
/* The first 12 of 16 bytes → 16 characters. */
INLINE v128_t encode_x12(v128_t in) {
  /* Bytes b c a b of each group in each 32-bit lane, then 6 bits into each byte. */
  v128_t v = wasm_i8x16_shuffle(in, in, 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
  v128_t index = wasm_v128_or(
      wasm_v128_or(wasm_v128_and(wasm_u32x4_shr(v, 10), wasm_u32x4_const_splat(0x0000003f)),
                   wasm_v128_and(wasm_i32x4_shl(v, 4), wasm_u32x4_const_splat(0x00003f00))),
      wasm_v128_or(wasm_v128_and(wasm_u32x4_shr(v, 6), wasm_u32x4_const_splat(0x003f0000)),
                   wasm_v128_and(wasm_i32x4_shl(v, 8), wasm_u32x4_const_splat(0x3f000000))));
  /* Class of each value (13: capital, 0: small, 1-10: digit, 11: +, 12: /) → what to add to it. */
  v128_t class = wasm_v128_or(wasm_u8x16_sub_sat(index, wasm_u8x16_const_splat(51)),
                              wasm_v128_and(wasm_u8x16_lt(index, wasm_u8x16_const_splat(26)), wasm_u8x16_const_splat(13)));
  v128_t shift = wasm_i8x16_const('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                  '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
  return wasm_i8x16_add(index, wasm_i8x16_swizzle(shift, class));
}
#endif

EXPORT i32 run(const u8 *in, u8 *out, i32 n) {
  i32 i = 0;
  u8 *start = out;
#ifdef FT_SIMD
  UNROLL(4)
  for (; i + 16 <= n; i += 12, out += 16) wasm_v128_store(out, encode_x12(wasm_v128_load(in + i)));
#endif
  UNROLL(4)
  for (; i + 3 <= n; i += 3, out += 4) encode_group(in + i, out);
  if (i < n) {
    u32 group = (u32)in[i] << 16 | (i + 1 < n ? (u32)in[i + 1] << 8 : 0);
    out[0] = character(group >> 18);
    out[1] = character(group >> 12);
    out[2] = i + 1 < n ? character(group >> 6) : '=';
    out[3] = '=';
    out += 4;
  }
  return (i32)(out - start);
}
