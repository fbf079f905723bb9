/* Number of bits in which two arrays of n 32-bit words differ. Counting: bit by bit (plain), by a table of bytes
 * (`lookupTable`), by sums within the word (`swar`), by the instruction (`popcount`, `vectorization`).
 * The empty asm keeps the compiler from recognising the first and third as the instruction. */
#include "fleetune.h"

#if defined(FT_LOOKUP)
#define B2(n) n, n + 1, n + 1, n + 2
#define B4(n) B2(n), B2(n + 1), B2(n + 1), B2(n + 2)
#define B6(n) B4(n), B4(n + 1), B4(n + 1), B4(n + 2)
static const u8 bits[256] = {B6(0), B6(1), B6(1), B6(2)};
INLINE i32 count_bits(u32 x) { return bits[x & 255] + bits[x >> 8 & 255] + bits[x >> 16 & 255] + bits[x >> 24]; }
#elif defined(FT_SWAR)
INLINE i32 count_bits(u32 x) {
  x -= x >> 1 & 0x55555555;
  __asm__("" : "+r"(x));
  x = (x & 0x33333333) + (x >> 2 & 0x33333333);
  x = (x + (x >> 4)) & 0x0f0f0f0f;
  return (i32)(x * 0x01010101 >> 24);
}
#elif defined(FT_POPCOUNT) || defined(FT_SIMD)
INLINE i32 count_bits(u32 x) { return __builtin_popcount(x); }
#else
INLINE i32 count_bits(u32 x) {
  i32 count = 0;
  for (; x; x &= x - 1) {
    __asm__("" : "+r"(x));
    count++;
  }
  return count;
}
#endif

#ifdef FT_SIMD
INLINE v128_t count_bits_x16(const u32 *a, const u32 *b) {
  return wasm_i8x16_popcnt(wasm_v128_xor(wasm_v128_load(a), wasm_v128_load(b)));
}

INLINE v128_t widen(v128_t bytes) {
  return wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(bytes));
}
#endif

EXPORT i32 run(const u32 *a, const u32 *b, i32 n) {
  i32 i = 0, count = 0;
#ifdef FT_SIMD
  v128_t total = wasm_i32x4_const_splat(0);
#ifdef FT_UNROLL
  /* Up to 31 counts of at most 8 fit a byte: widen after 28. */
  while (i + 16 <= n) {
    v128_t sum = wasm_i8x16_const_splat(0);
    for (i32 round = 0; round < 7 && i + 16 <= n; round++, i += 16) {
      v128_t first = wasm_i8x16_add(count_bits_x16(a + i, b + i), count_bits_x16(a + i + 4, b + i + 4));
      v128_t second = wasm_i8x16_add(count_bits_x16(a + i + 8, b + i + 8), count_bits_x16(a + i + 12, b + i + 12));
      sum = wasm_i8x16_add(sum, wasm_i8x16_add(first, second));
    }
    total = wasm_i32x4_add(total, widen(sum));
  }
#endif
  UNROLL(1)
  for (; i + 4 <= n; i += 4) total = wasm_i32x4_add(total, widen(count_bits_x16(a + i, b + i)));
  count = wasm_i32x4_extract_lane(total, 0) + wasm_i32x4_extract_lane(total, 1) +
          wasm_i32x4_extract_lane(total, 2) + wasm_i32x4_extract_lane(total, 3);
#elif defined(FT_POPCOUNT) && defined(FT_UNROLL)
  for (; i + 4 <= n; i += 4)
    count += (i32)(__builtin_popcountll(LOAD_U64(a + i) ^ LOAD_U64(b + i)) +
                   __builtin_popcountll(LOAD_U64(a + i + 2) ^ LOAD_U64(b + i + 2)));
#endif
  UNROLL(4)
  for (; i < n; i++) count += count_bits(a[i] ^ b[i]);
  return count;
}
