/* Number of primes ≤ n by the sieve of Eratosthenes. `composite` is scratch of n + 1 bytes or more.
 * `oddOnly` keeps odd numbers only (flag i stands for 2i + 1); `segmented` sieves one first-level-cache-sized
 * stretch after another; `bitset` packs the flags eight to a byte; `bulkMemory` clears with memory.fill;
 * `vectorization` clears and counts 16 flags at a time. */
#include "fleetune.h"

#define SEGMENT 16384

INLINE void clear(u8 *flags, i32 length) {
#ifdef FT_BULK
  __builtin_memset(flags, 0, length);
#else
  i32 i = 0;
#ifdef FT_SIMD
  UNROLL(1)
  for (; i + 16 <= length; i += 16) wasm_v128_store(flags + i, wasm_i8x16_const_splat(0));
#endif
  UNROLL(4)
  for (; i < length; i++) flags[i] = 0;
#endif
}

#ifdef FT_BITSET
INLINE void strike(u8 *flags, i32 from, i32 stride, i32 length) {
  UNROLL(4)
  for (i32 i = from; i < length; i += stride) flags[i >> 3] |= (u8)(1 << (i & 7));
}

INLINE i32 is_struck(const u8 *flags, i32 i) { return flags[i >> 3] >> (i & 7) & 1; }

INLINE i32 count_clear(const u8 *flags, i32 length) {
  i32 struck = 0, i = 0;
  UNROLL(1)
  for (; i + 64 <= length; i += 64) struck += __builtin_popcountll(LOAD_U64(flags + (i >> 3)));
  UNROLL(1)
  for (; i < length; i++) struck += is_struck(flags, i);
  return length - struck;
}
#else
INLINE void strike(u8 *flags, i32 from, i32 stride, i32 length) {
  UNROLL(4)
  for (i32 i = from; i < length; i += stride) flags[i] = 1;
}

INLINE i32 is_struck(const u8 *flags, i32 i) { return flags[i]; }

INLINE i32 count_clear(const u8 *flags, i32 length) {
  i32 struck = 0, i = 0;
#ifdef FT_SIMD
  v128_t total = wasm_i32x4_const_splat(0);
  UNROLL(1)
  for (; i + 16 <= length; i += 16) {
    v128_t pairs = wasm_u16x8_extadd_pairwise_u8x16(wasm_v128_load(flags + i));
    total = wasm_i32x4_add(total, wasm_u32x4_extadd_pairwise_u16x8(pairs));
  }
  struck = wasm_i32x4_extract_lane(total, 0) + wasm_i32x4_extract_lane(total, 1) +
           wasm_i32x4_extract_lane(total, 2) + wasm_i32x4_extract_lane(total, 3);
#endif
  UNROLL(4)
  for (; i < length; i++) struck += flags[i];
  return length - struck;
}
#endif

#ifdef FT_ODD
/* Flag i stands for 2i + 1; flag 0, the number 1, stands in for the prime 2 in the count. */
#define FLAGS(n) (((n) + 1) / 2)
#define FIRST_CANDIDATE 1
#define PRIME(i) (2 * (i) + 1)
#define FIRST_MULTIPLE(p) ((p) * (p) / 2)
#else
#define FLAGS(n) ((n) + 1)
#define FIRST_CANDIDATE 2
#define PRIME(i) (i)
#define FIRST_MULTIPLE(p) ((p) * (p))
#endif
#ifdef FT_BITSET
#define BYTES(flags) (((flags) + 7) / 8)
#else
#define BYTES(flags) (flags)
#endif

EXPORT i32 run(u8 *composite, i32 n) {
  if (n < 2) return 0;
  i32 flags = FLAGS(n);
#ifdef FT_SEGMENTED
  i32 root = 1, length = 0;
  while ((root + 1) * (root + 1) <= n) root++;
  i32 base = FLAGS(root), count = 0;
  u8 *segment = composite + base; /* flags of the base primes, then one segment, used again and again */
  clear(composite, base);
  for (i32 i = FIRST_CANDIDATE; i < base; i++)
    if (!is_struck(composite, i)) strike(composite, FIRST_MULTIPLE(PRIME(i)), PRIME(i), base);
  for (i32 low = 0; low < flags; low += length) {
    length = flags - low < SEGMENT ? flags - low : SEGMENT;
    if (length > n + 1 - base) length = n + 1 - base; /* what the scratch has left */
    clear(segment, length);
    for (i32 i = FIRST_CANDIDATE; i < base; i++) {
      if (is_struck(composite, i)) continue;
      i32 p = PRIME(i), first = FIRST_MULTIPLE(p);
      if (first >= low + length) break;
      if (first < low) first += (low - first + p - 1) / p * p;
      strike(segment, first - low, p, length);
    }
    count += count_clear(segment, length);
  }
#else
  clear(composite, BYTES(flags));
  for (i32 i = FIRST_CANDIDATE; PRIME(i) * PRIME(i) <= n; i++)
    if (!is_struck(composite, i)) strike(composite, FIRST_MULTIPLE(PRIME(i)), PRIME(i), flags);
  i32 count = count_clear(composite, flags);
#endif
#ifdef FT_ODD
  return count;
#else
  return count - 2; /* 0 and 1 are never struck */
#endif
}
