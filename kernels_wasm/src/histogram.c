/* Counts of each byte value into u32[256]. Equal neighbours make the next increment wait for the last store:
 * privateCounters spreads neighbours over four tables and adds them up at the end. swar reads four bytes a load. */
#include "fleetune.h"

INLINE void count(u32 *counts, u32 byte) { counts[byte]++; }

EXPORT void run(const u8 *restrict data, u32 *restrict counts, i32 n) {
  i32 i = 0;
#ifdef FT_PRIVATE
  u32 more[3 * 256];
  u32 *const c1 = more, *const c2 = more + 256, *const c3 = more + 512;
#else
  u32 *const c1 = counts, *const c2 = counts, *const c3 = counts;
  (void)c1, (void)c2, (void)c3;
#endif
#ifdef FT_BULK
  __builtin_memset(counts, 0, 1024);
#ifdef FT_PRIVATE
  __builtin_memset(more, 0, sizeof more);
#endif
#elif defined(FT_SIMD)
  for (i32 k = 0; k < 256; k += 4) wasm_v128_store(counts + k, wasm_i32x4_const_splat(0));
#ifdef FT_PRIVATE
  for (i32 k = 0; k < 3 * 256; k += 4) wasm_v128_store(more + k, wasm_i32x4_const_splat(0));
#endif
#else
  UNROLL(4)
  for (i32 k = 0; k < 256; k++) counts[k] = 0;
#ifdef FT_PRIVATE
  UNROLL(4)
  for (i32 k = 0; k < 3 * 256; k++) more[k] = 0;
#endif
#endif
#ifdef FT_SWAR
  UNROLL(2)
  for (; i + 4 <= n; i += 4) {
    u32 word = LOAD_U32(data + i);
    count(counts, word & 255);
    count(c1, (word >> 8) & 255);
    count(c2, (word >> 16) & 255);
    count(c3, word >> 24);
  }
#elif defined(FT_PRIVATE) || defined(FT_UNROLL)
  for (; i + 4 <= n; i += 4) {
    count(counts, data[i]);
    count(c1, data[i + 1]);
    count(c2, data[i + 2]);
    count(c3, data[i + 3]);
  }
#endif
  for (; i < n; i++) count(counts, data[i]);
#ifdef FT_PRIVATE
#ifdef FT_SIMD
  for (i32 k = 0; k < 256; k += 4)
    wasm_v128_store(counts + k, wasm_i32x4_add(wasm_i32x4_add(wasm_v128_load(counts + k), wasm_v128_load(c1 + k)),
                                               wasm_i32x4_add(wasm_v128_load(c2 + k), wasm_v128_load(c3 + k))));
#else
  UNROLL(4)
  for (i32 k = 0; k < 256; k++) counts[k] += c1[k] + c2[k] + c3[k];
#endif
#endif
}
