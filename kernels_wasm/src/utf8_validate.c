/* 1 if the bytes are valid UTF-8 (Unicode 15, table 3-7), else 0.
 * `swar` and `vectorization` skip 8 or 16 ASCII bytes at a time; `lookupTable` alone is Höhrmann's automaton
 * (http://bjoern.hoehrmann.de/utf-8/decoder/dfa/); `lookupTable+vectorization` classifies 16 bytes at once by
 * three nibble lookups (Keiser, Lemire: Validating UTF-8 in less than one instruction per byte, 2021). */
#include "fleetune.h"

#if defined(FT_SIMD) && defined(FT_LOOKUP)
enum {
  TOO_SHORT = 1, TOO_LONG = 2, OVERLONG_3 = 4, TOO_LARGE = 8, SURROGATE = 16, OVERLONG_2 = 32,
  OVERLONG_4 = 64, TOO_LARGE_1000 = 64, TWO_CONTINUATIONS = 128, CARRY = TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS,
  LEAD_F = TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
  ABOVE_4 = CARRY | TOO_LARGE | TOO_LARGE_1000,
  CONTINUATION = TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS,
};
#define TABLE(...) wasm_u8x16_const(__VA_ARGS__)

/* Errors of the bytes of `block`, which follow those of `before`; 0 if there are none so far. */
INLINE v128_t block_errors(v128_t block, v128_t before) {
  const v128_t first_high = TABLE(
      TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TWO_CONTINUATIONS,
      TWO_CONTINUATIONS, TWO_CONTINUATIONS, TWO_CONTINUATIONS, TOO_SHORT | OVERLONG_2, TOO_SHORT,
      TOO_SHORT | OVERLONG_3 | SURROGATE, LEAD_F);
  const v128_t first_low = TABLE(
      CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4, CARRY | OVERLONG_2, CARRY, CARRY, CARRY | TOO_LARGE, ABOVE_4,
      ABOVE_4, ABOVE_4, ABOVE_4, ABOVE_4, ABOVE_4, ABOVE_4, ABOVE_4, ABOVE_4 | SURROGATE, ABOVE_4, ABOVE_4);
  const v128_t second_high = TABLE(
      TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
      CONTINUATION | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4, CONTINUATION | OVERLONG_3 | TOO_LARGE,
      CONTINUATION | SURROGATE | TOO_LARGE, CONTINUATION | SURROGATE | TOO_LARGE,
      TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT);
  const v128_t nibble = wasm_u8x16_const_splat(15);
  v128_t one = wasm_i8x16_shuffle(before, block, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
  v128_t two = wasm_i8x16_shuffle(before, block, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
  v128_t three = wasm_i8x16_shuffle(before, block, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28);
  v128_t special = wasm_v128_and(
      wasm_v128_and(wasm_i8x16_swizzle(first_high, wasm_u8x16_shr(one, 4)),
                    wasm_i8x16_swizzle(first_low, wasm_v128_and(one, nibble))),
      wasm_i8x16_swizzle(second_high, wasm_u8x16_shr(block, 4)));
  /* Bit 7 where a third or fourth byte must stand: two continuations are right there, and only there. */
  v128_t third = wasm_u8x16_sub_sat(two, wasm_u8x16_const_splat(0xe0 - 0x80));
  v128_t fourth = wasm_u8x16_sub_sat(three, wasm_u8x16_const_splat(0xf0 - 0x80));
  v128_t expected = wasm_v128_and(wasm_v128_or(third, fourth), wasm_u8x16_const_splat(0x80));
  return wasm_v128_xor(expected, special);
}

/* Non-zero if the block ends inside a character. */
INLINE v128_t unfinished(v128_t block) {
  return wasm_u8x16_sub_sat(block, TABLE(255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                                         0xf0 - 1, 0xe0 - 1, 0xc0 - 1));
}

typedef struct { v128_t errors, before, open; } progress;

INLINE void add_block(progress *p, v128_t block) {
  if (wasm_i8x16_bitmask(block)) {
    p->errors = wasm_v128_or(p->errors, block_errors(block, p->before));
    p->open = unfinished(block);
  } else {
    p->errors = wasm_v128_or(p->errors, p->open);
    p->open = wasm_i32x4_const_splat(0);
  }
  p->before = block;
}

EXPORT i32 run(const u8 *bytes, i32 n) {
  v128_t zero = wasm_i32x4_const_splat(0);
  progress p = {zero, zero, zero};
  i32 i = 0;
#ifdef FT_UNROLL
  for (; i + 64 <= n; i += 64) {
    v128_t a = wasm_v128_load(bytes + i), b = wasm_v128_load(bytes + i + 16);
    v128_t c = wasm_v128_load(bytes + i + 32), d = wasm_v128_load(bytes + i + 48);
    if (wasm_i8x16_bitmask(wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d)))) {
      p.errors = wasm_v128_or(wasm_v128_or(p.errors, block_errors(a, p.before)),
                              wasm_v128_or(block_errors(b, a), wasm_v128_or(block_errors(c, b), block_errors(d, c))));
      p.open = unfinished(d);
    } else {
      p.errors = wasm_v128_or(p.errors, p.open);
      p.open = zero;
    }
    p.before = d;
  }
#endif
  UNROLL(1)
  for (; i + 16 <= n; i += 16) add_block(&p, wasm_v128_load(bytes + i));
  if (i < n) { /* the last bytes, followed by zeros, which are ASCII */
    u8 last[16] __attribute__((aligned(16)));
    wasm_v128_store(last, zero);
    for (i32 k = 0; i + k < n; k++) last[k] = bytes[i + k];
    add_block(&p, wasm_v128_load(last));
  }
  return !wasm_v128_any_true(wasm_v128_or(p.errors, p.open));
}

#else

/* Number of ASCII bytes from `i` on that can be skipped in whole words. */
#ifdef FT_SIMD
INLINE i32 ascii_words(const u8 *bytes, i32 i, i32 n) {
  i32 from = i;
  while (i + 16 <= n && !wasm_i8x16_bitmask(wasm_v128_load(bytes + i))) i += 16;
  return i - from;
}
#elif defined(FT_SWAR)
INLINE i32 ascii_words(const u8 *bytes, i32 i, i32 n) {
  i32 from = i;
#ifdef FT_UNROLL
  for (; i + 16 <= n; i += 16)
    if ((LOAD_U64(bytes + i) | LOAD_U64(bytes + i + 8)) & 0x8080808080808080ull) break;
#endif
  while (i + 8 <= n && !(LOAD_U64(bytes + i) & 0x8080808080808080ull)) i += 8;
  return i - from;
}
#endif

#ifdef FT_LOOKUP
#define X8(c) c, c, c, c, c, c, c, c
#define X16(c) X8(c), X8(c)
/* Byte → character class. */
static const u8 classes[256] = {
    X16(0), X16(0), X16(0), X16(0), X16(0), X16(0), X16(0), X16(0), X16(1), X16(9), X16(7), X16(7),
    8, 8, 2, 2, 2, 2, 2, 2, X8(2), X16(2),
    10, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3, 11, 6, 6, 6, 5, 8, 8, 8, X8(8)};
/* (state + class) → state; 0 accepts, 12 rejects for good. */
static const u8 transitions[108] = {
    0,  12, 24, 36, 60, 96, 84, 12, 12, 12, 48, 72, X8(12), 12, 12, 12, 12,
    12, 0,  12, 12, 12, 12, 12, 0,  12, 0,  12, 12, 12, 24, 12, 12, 12, 12, 12, 24, 12, 24, 12, 12,
    12, 12, 12, 12, 12, 12, 12, 24, 12, 12, 12, 12, 12, 24, 12, 12, 12, 12, 12, 12, 12, 24, 12, 12,
    12, 12, 12, 12, 12, 12, 12, 36, 12, 36, 12, 12, 12, 36, 12, 12, 12, 12, 12, 36, 12, 36, 12, 12,
    12, 36, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12};

INLINE u32 next_state(u32 state, u8 byte) { return transitions[state + classes[byte]]; }

EXPORT i32 run(const u8 *bytes, i32 n) {
  u32 state = 0;
#ifdef FT_SWAR
  for (i32 i = 0; i < n;) {
    if (state == 0 && bytes[i] < 0x80) {
      i32 skipped = ascii_words(bytes, i, n);
      i += skipped ? skipped : 1;
    } else {
      state = next_state(state, bytes[i++]);
    }
  }
#else
  UNROLL(8)
  for (i32 i = 0; i < n; i++) state = next_state(state, bytes[i]);
#endif
  return state == 0;
}
#else
INLINE i32 is_continuation(u8 byte) { return (byte & 0xc0) == 0x80; }

/* Length of the character at `p` with `left` bytes to the end; 0 if there is none. */
INLINE i32 character_length(const u8 *p, i32 left) {
  u8 lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return left >= 2 && is_continuation(p[1]) ? 2 : 0;
  if (lead < 0xf0) {
    if (left < 3 || !is_continuation(p[1]) || !is_continuation(p[2])) return 0;
    if (lead == 0xe0 && p[1] < 0xa0) return 0; /* overlong */
    if (lead == 0xed && p[1] > 0x9f) return 0; /* surrogate */
    return 3;
  }
  if (lead > 0xf4 || left < 4) return 0;
  if (!is_continuation(p[1]) || !is_continuation(p[2]) || !is_continuation(p[3])) return 0;
  if (lead == 0xf0 && p[1] < 0x90) return 0; /* overlong */
  if (lead == 0xf4 && p[1] > 0x8f) return 0; /* above U+10FFFF */
  return 4;
}

EXPORT i32 run(const u8 *bytes, i32 n) {
  i32 i = 0;
  while (i < n) {
#if defined(FT_SWAR) || defined(FT_SIMD)
    if (bytes[i] < 0x80) {
      i32 skipped = ascii_words(bytes, i, n);
      i += skipped ? skipped : 1;
      continue;
    }
#endif
    i32 length = character_length(bytes + i, n - i);
    if (!length) return 0;
    i += length;
  }
  return 1;
}
#endif
#endif
