/* Levenshtein distance of two byte strings. `scratch` has room for 2·(m + n) + 64 words. The plain variant fills
 * the matrix row by row in one row of memory; `banded` stays near the diagonal and widens on demand (Ukkonen
 * 1985); `bitParallel` does 64 cells with a few word operations (Myers 1999, blocks after Hyyrö 2003);
 * `vectorization` goes along antidiagonals, eight cells at a time; `trimming` first drops what both ends share. */
#include "fleetune.h"

#ifdef FT_BIT_PARALLEL
/* One column of one block: cells' vertical differences in *up (+1) and *down (-1); `carry` is the horizontal
 * difference above the block, the result the one at row `last`. */
INLINE i32 column(u64 *up, u64 *down, u64 equal, i32 carry, i32 last) {
  u64 vertical = equal | *down;
  equal |= (u64)(carry < 0);
  u64 horizontal = (((equal & *up) + *up) ^ *up) | equal;
  u64 plus = *down | ~(horizontal | *up), minus = *up & horizontal;
  i32 out = (i32)(plus >> last & 1) - (i32)(minus >> last & 1);
  plus = plus << 1 | (u64)(carry > 0);
  minus = minus << 1 | (u64)(carry < 0);
  *up = minus | ~(vertical | plus);
  *down = plus & vertical;
  return out;
}

INLINE i32 distance(const u8 *a, i32 m, const u8 *b, i32 n, i32 *scratch) {
  u64 positions[256];
  signed char *carries = (signed char *)scratch;
  i32 total = m;
  if (!m) return n;
  for (i32 c = 0; c < 256; c++) positions[c] = 0;
  for (i32 j = 0; j < n; j++) carries[j] = 1;
  for (i32 start = 0; start < m; start += 64) {
    i32 rows = m - start < 64 ? m - start : 64;
    u64 up = ~0ull, down = 0;
    for (i32 k = 0; k < rows; k++) positions[a[start + k]] |= 1ull << k;
    UNROLL(2)
    for (i32 j = 0; j < n; j++) carries[j] = (signed char)column(&up, &down, positions[b[j]], carries[j], rows - 1);
    for (i32 k = 0; k < rows; k++) positions[a[start + k]] = 0;
  }
  for (i32 j = 0; j < n; j++) total += carries[j];
  return total;
}

#else

INLINE i32 cheapest(i32 left, i32 above, i32 diagonal, i32 differ) {
  i32 best = left < above ? left + 1 : above + 1;
  return diagonal + differ < best ? diagonal + differ : best;
}

#ifdef FT_BANDED
#define FAR (1 << 28)
/* The distance if it is at most `reach`, else some number above it. */
INLINE i32 banded_distance(const u8 *a, i32 m, const u8 *b, i32 n, i32 reach, i32 *row) {
  for (i32 j = 0; j <= n; j++) row[j] = j <= reach ? j : FAR;
  for (i32 i = 1; i <= m; i++) {
    i32 j = i > reach ? i - reach : 1, end = i + reach < n ? i + reach : n;
    i32 diagonal = row[j - 1], left = j == 1 && i <= reach ? i : FAR;
    row[j - 1] = left;
    UNROLL(2)
    for (; j <= end; j++) {
      i32 above = row[j];
      left = row[j] = cheapest(left, above, diagonal, a[i - 1] != b[j - 1]);
      diagonal = above;
    }
  }
  return row[n];
}

INLINE i32 distance(const u8 *a, i32 m, const u8 *b, i32 n, i32 *scratch) {
  i32 gap = m > n ? m - n : n - m, longest = m > n ? m : n, reach = gap + 8;
  for (;;) {
    i32 found = banded_distance(a, m, b, n, reach, scratch);
    if (found <= reach || reach >= longest) return found;
    reach *= 4;
  }
}
#else
INLINE i32 distance_by_rows(const u8 *a, i32 m, const u8 *b, i32 n, i32 *row) {
  for (i32 j = 0; j <= n; j++) row[j] = j;
  for (i32 i = 1; i <= m; i++) {
    i32 diagonal = row[0], left = i;
    row[0] = i;
    UNROLL(2)
    for (i32 j = 1; j <= n; j++) {
      i32 above = row[j];
      left = row[j] = cheapest(left, above, diagonal, a[i - 1] != b[j - 1]);
      diagonal = above;
    }
  }
  return row[n];
}

#ifdef FT_SIMD
/* Eight cells of an antidiagonal from the two before it. */
INLINE v128_t cheapest_x8(const u16 *before, const u16 *two_before, const u8 *a, const u8 *b) {
  v128_t left_above = wasm_u16x8_min(wasm_v128_load(before), wasm_v128_load(before - 1));
  v128_t same = wasm_i16x8_eq(wasm_u16x8_load8x8(a), wasm_u16x8_load8x8(b));
  v128_t diagonal = wasm_i16x8_add(wasm_v128_load(two_before - 1), same); /* -1 if the same … */
  v128_t one = wasm_i16x8_const_splat(1); /* … then 1 more for all */
  return wasm_i16x8_add(wasm_i16x8_min(left_above, diagonal), one);
}

INLINE i32 distance(const u8 *a, i32 m, const u8 *b, i32 n, i32 *scratch) {
  if (m + n > 32000) return distance_by_rows(a, m, b, n, scratch); /* cells are 16 bits wide */
  /* Cell i of antidiagonal d is D[i][d - i]; b is reversed so that both strings are read forwards. Copies are
   * padded: the last vector of a diagonal reads and writes past its end. */
  u16 *before = (u16 *)scratch, *two_before = before + m + 9, *now = two_before + m + 9;
  u8 *first = (u8 *)(now + m + 9), *second = first + m + 8;
  for (i32 i = 0; i < m; i++) first[i] = a[i];
  for (i32 j = 0; j < n; j++) second[j] = b[n - 1 - j];
  for (i32 d = 0; d <= m + n; d++) {
    i32 i = d > n ? d - n : 1, end = d - 1 < m ? d - 1 : m;
    for (; i <= end; i += 8) {
      v128_t cells = cheapest_x8(before + i, two_before + i, first + i - 1, second + n - d + i);
      wasm_v128_store(now + i, cells);
    }
    if (d <= n) now[0] = (u16)d;
    if (d <= m) now[d] = (u16)d;
    u16 *oldest = two_before;
    two_before = before;
    before = now;
    now = oldest;
  }
  return before[m];
}
#else
INLINE i32 distance(const u8 *a, i32 m, const u8 *b, i32 n, i32 *scratch) {
  return distance_by_rows(a, m, b, n, scratch);
}
#endif
#endif
#endif

EXPORT i32 run(const u8 *a, i32 m, const u8 *b, i32 n, i32 *scratch) {
#ifdef FT_TRIMMING
  while (m > 0 && n > 0 && a[m - 1] == b[n - 1]) m--, n--;
  while (m > 0 && n > 0 && *a == *b) a++, b++, m--, n--;
#endif
  return distance(a, m, b, n, scratch);
}
