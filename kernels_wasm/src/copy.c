/* Copy n bytes between buffers that do not overlap: bytes, 64-bit words (swar), vectors, or memory.copy. */
#include "fleetune.h"

INLINE void copy_byte(u8 *to, const u8 *from) { *to = *from; }

#ifdef FT_SWAR
INLINE void copy_word(u8 *to, const u8 *from) { STORE_U64(to, LOAD_U64(from)); }
#endif
#ifdef FT_SIMD
INLINE void copy_vector(u8 *to, const u8 *from) { wasm_v128_store(to, wasm_v128_load(from)); }
#endif
#ifdef FT_BULK
INLINE void copy_all(u8 *restrict to, const u8 *restrict from, i32 n) { __builtin_memcpy(to, from, (u32)n); }
#endif

EXPORT void run(const u8 *restrict from, u8 *restrict to, i32 n) {
#ifdef FT_BULK
#ifdef FT_SIMD
  /* A bulk instruction has a fixed cost that short copies feel. */
  if (n < 256) {
    i32 k = 0;
    for (; k + 16 <= n; k += 16) copy_vector(to + k, from + k);
    for (; k < n; k++) copy_byte(to + k, from + k);
    return;
  }
#endif
  copy_all(to, from, n);
#else
  i32 i = 0;
#ifdef FT_SIMD
  UNROLL(4)
  for (; i + 16 <= n; i += 16) copy_vector(to + i, from + i);
#elif defined(FT_SWAR)
  UNROLL(4)
  for (; i + 8 <= n; i += 8) copy_word(to + i, from + i);
#endif
#if !defined(FT_SIMD) && !defined(FT_SWAR)
  UNROLL(8)
#endif
  for (; i < n; i++) copy_byte(to + i, from + i);
#endif
}
