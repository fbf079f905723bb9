/* FNV-1a, 64 bits, of n bytes (Fowler, Noll, Vo; draft-eastlake-fnv). hash[0] and hash[1] get the low and the high
 * word; returns their exclusive or. `swar` reads eight bytes at a time; `shiftAdd` multiplies by the sparse prime
 * with shifts; `splitMultiply` uses 32-bit halves, for engines whose 64-bit multiplication is slow. */
#include "fleetune.h"

#define PRIME 0x100000001b3ull
#define BASIS 0xcbf29ce484222325ull

#ifdef FT_SHIFT_ADD
INLINE u64 step(u64 hash, u32 byte) {
  hash ^= byte;
  u64 high = hash << 40;
  u64 near = (hash << 1) + hash, far = (near << 4) + (hash << 7);
  __asm__("" : "+r"(near)); /* else the compiler makes one multiplication of it again */
  __asm__("" : "+r"(far));
  return high + (hash << 8) + far + near;
}
#elif defined(FT_SPLIT_MULTIPLY)
INLINE u64 step(u64 hash, u32 byte) {
  u32 low = (u32)hash ^ byte, high = (u32)(hash >> 32);
  return (u64)low * 435 + ((u64)(high * 435 + (low << 8)) << 32);
}
#else
INLINE u64 step(u64 hash, u32 byte) { return (hash ^ byte) * PRIME; }
#endif

EXPORT i32 run(const u8 *bytes, u32 *out, i32 n) {
  u64 hash = BASIS;
  i32 i = 0;
#ifdef FT_SWAR
  UNROLL(2)
  for (; i + 8 <= n; i += 8) {
    u64 word = LOAD_U64(bytes + i);
    ALWAYS_UNROLL
    for (i32 k = 0; k < 8; k++, word >>= 8) hash = step(hash, word & 255);
  }
#endif
  UNROLL(8)
  for (; i < n; i++) hash = step(hash, bytes[i]);
  out[0] = (u32)hash;
  out[1] = (u32)(hash >> 32);
  return (i32)(out[0] ^ out[1]);
}
