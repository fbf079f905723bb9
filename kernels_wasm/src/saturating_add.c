/* out[i] = min(a[i] + b[i], 255) for bytes. `swar` adds eight bytes in one 64-bit word (Hacker's Delight, 2-18, with
 * the carries out of bit 7 spread over their bytes). */
#include "fleetune.h"

#ifdef FT_BRANCHLESS
INLINE u8 add(u8 a, u8 b) {
  i32 sum = a + b;
  return (u8)(sum | (255 - sum) >> 31);
}
#else
INLINE u8 add(u8 a, u8 b) {
  i32 sum = a + b;
  if (sum > 255) return 255;
  return (u8)sum;
}
#endif

#ifdef FT_SWAR
INLINE u64 add_x8(u64 a, u64 b) {
  const u64 high = 0x8080808080808080ull;
  u64 sum = ((a & ~high) + (b & ~high)) ^ ((a ^ b) & high);
  u64 carry = ((a & b) | ((a | b) & ~sum)) & high;
  return sum | ((carry << 1) - (carry >> 7)); /* 0x80 → 0xff, byte by byte */
}
#endif

#ifdef FT_SIMD
INLINE v128_t add_x16(const u8 *a, const u8 *b) { return wasm_u8x16_add_sat(wasm_v128_load(a), wasm_v128_load(b)); }
#endif

EXPORT void run(const u8 *a, const u8 *b, u8 *out, i32 n) {
  i32 i = 0;
#ifdef FT_SIMD
  UNROLL(4)
  for (; i + 16 <= n; i += 16) wasm_v128_store(out + i, add_x16(a + i, b + i));
#endif
#ifdef FT_SWAR
  UNROLL(4)
  for (; i + 8 <= n; i += 8) STORE_U64(out + i, add_x8(LOAD_U64(a + i), LOAD_U64(b + i)));
#endif
  UNROLL(4)
  for (; i < n; i++) out[i] = add(a[i], b[i]);
}
