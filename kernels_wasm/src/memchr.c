/* Index of the first byte equal to `wanted`, or −1. swar: eight bytes at a time in a 64-bit word, with the zero-byte test
 * (v − 0x01…) & ~v & 0x80…, whose lowest set bit is exact. */
#include "fleetune.h"

INLINE i32 equal(u8 byte, i32 wanted) { return byte == (u8)wanted; }

#ifdef FT_SWAR
INLINE u64 zero_bytes(u64 v) { return (v - 0x0101010101010101ull) & ~v & 0x8080808080808080ull; }
#endif
#ifdef FT_SIMD
INLINE v128_t equal_x16(const u8 *data, v128_t wanted) { return wasm_i8x16_eq(wasm_v128_load(data), wanted); }
#endif

EXPORT i32 run(const u8 *data, i32 wanted, i32 n) {
  i32 i = 0;
#ifdef FT_SIMD
  v128_t pattern = wasm_i8x16_splat((i8)wanted);
#ifdef FT_UNROLL
  for (; i + 64 <= n; i += 64) {
    v128_t e0 = equal_x16(data + i, pattern), e1 = equal_x16(data + i + 16, pattern);
    v128_t e2 = equal_x16(data + i + 32, pattern), e3 = equal_x16(data + i + 48, pattern);
    if (wasm_v128_any_true(wasm_v128_or(wasm_v128_or(e0, e1), wasm_v128_or(e2, e3)))) break;
  }
#endif
  UNROLL(1)
  for (; i + 16 <= n; i += 16) {
    u32 mask = wasm_i8x16_bitmask(equal_x16(data + i, pattern));
    if (mask) return i + __builtin_ctz(mask);
  }
#elif defined(FT_SWAR)
  u64 pattern = (u64)(u8)wanted * 0x0101010101010101ull;
#ifdef FT_UNROLL
  for (; i + 32 <= n; i += 32) {
    u64 e0 = zero_bytes(LOAD_U64(data + i) ^ pattern), e1 = zero_bytes(LOAD_U64(data + i + 8) ^ pattern);
    u64 e2 = zero_bytes(LOAD_U64(data + i + 16) ^ pattern), e3 = zero_bytes(LOAD_U64(data + i + 24) ^ pattern);
    if ((e0 | e1) | (e2 | e3)) break;
  }
#endif
  UNROLL(1)
  for (; i + 8 <= n; i += 8) {
    u64 found = zero_bytes(LOAD_U64(data + i) ^ pattern);
    if (found) return i + (__builtin_ctzll(found) >> 3);
  }
#elif defined(FT_UNROLL)
  for (; i + 4 <= n; i += 4) {
    if (equal(data[i], wanted)) return i;
    if (equal(data[i + 1], wanted)) return i + 1;
    if (equal(data[i + 2], wanted)) return i + 2;
    if (equal(data[i + 3], wanted)) return i + 3;
  }
#endif
  for (; i < n; i++)
    if (equal(data[i], wanted)) return i;
  return -1;
}
