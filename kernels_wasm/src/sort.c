/* Sorts n i32 in place, ascending; `scratch` has room for n. The plain variant is quicksort (Hoare's partition,
 * median of three, explicit stack). `hybrid` leaves short stretches to insertion sort; `branchless` partitions
 * without a branch that depends on the data; `insertion` sorts by insertion while that stays cheap (short or
 * almost sorted data) and hands over to quicksort when it does not; `radix` goes by 8-bit digits, with
 * `wideDigits` by 11 bits; `vectorization` merges runs with bitonic networks over four lanes. */
#include "fleetune.h"

#if defined(FT_HYBRID) || defined(FT_INSERTION) || defined(FT_SIMD)
/* Moves data[i] to its place among the sorted data[low..i); returns by how many places. */
INLINE i32 insert(i32 *data, i32 low, i32 i) {
  i32 value = data[i], k = i;
  for (; k > low && data[k - 1] > value; k--) data[k] = data[k - 1];
  data[k] = value;
  return i - k;
}
#endif

#ifdef FT_RADIX
#ifdef FT_WIDE_DIGITS
#define BITS 11
#define PASSES 3
#else
#define BITS 8
#define PASSES 4
#endif
#define DIGITS (1 << BITS)

INLINE u32 digit(i32 value, i32 pass) { return ((u32)value ^ 0x80000000u) >> (pass * BITS) & (DIGITS - 1); }

EXPORT void run(i32 *data, i32 *scratch, i32 n) {
  i32 *from = data, *to = scratch;
  if (n < 2) return;
  for (i32 pass = 0; pass < PASSES; pass++) {
    i32 start[DIGITS];
    for (i32 d = 0; d < DIGITS; d++) start[d] = 0;
    UNROLL(4)
    for (i32 i = 0; i < n; i++) start[digit(from[i], pass)]++;
    if (start[digit(from[0], pass)] == n) continue; /* one digit only: nothing moves */
    i32 total = 0;
    for (i32 d = 0; d < DIGITS; d++) {
      i32 count = start[d];
      start[d] = total;
      total += count;
    }
    UNROLL(4)
    for (i32 i = 0; i < n; i++) to[start[digit(from[i], pass)]++] = from[i];
    i32 *swap = from;
    from = to;
    to = swap;
  }
  if (from != data)
    for (i32 i = 0; i < n; i++) data[i] = from[i];
}

#elif defined(FT_SIMD)

#define ORDER(a, b)                    \
  do {                                 \
    v128_t smaller = wasm_i32x4_min(a, b); \
    b = wasm_i32x4_max(a, b);          \
    a = smaller;                       \
  } while (0)

/* Two ascending vectors → the four smaller in *a, the four larger in *b, both ascending. */
INLINE void merge_vectors(v128_t *a, v128_t *b) {
  v128_t low = *a, high = wasm_i32x4_shuffle(*b, *b, 3, 2, 1, 0);
  ORDER(low, high);
  v128_t left = wasm_i32x4_shuffle(low, high, 0, 1, 4, 5), right = wasm_i32x4_shuffle(low, high, 2, 3, 6, 7);
  ORDER(left, right);
  low = wasm_i32x4_shuffle(left, right, 0, 4, 2, 6);
  high = wasm_i32x4_shuffle(left, right, 1, 5, 3, 7);
  ORDER(low, high);
  *a = wasm_i32x4_shuffle(low, high, 0, 4, 1, 5);
  *b = wasm_i32x4_shuffle(low, high, 2, 6, 3, 7);
}

/* Ascending runs [from, middle) and [middle, end), multiples of four long and not empty, → to. */
INLINE void merge_runs(const i32 *from, const i32 *middle, const i32 *end, i32 *to) {
  const i32 *a = from + 4, *b = middle + 4;
  v128_t low = wasm_v128_load(from), high = wasm_v128_load(middle);
  merge_vectors(&low, &high);
  wasm_v128_store(to, low);
  to += 4;
  while (a < middle || b < end) {
    if (b >= end || (a < middle && *a <= *b)) {
      low = wasm_v128_load(a);
      a += 4;
    } else {
      low = wasm_v128_load(b);
      b += 4;
    }
    merge_vectors(&low, &high);
    wasm_v128_store(to, low);
    to += 4;
  }
  wasm_v128_store(to, high);
}

/* Sorts 16 values: columns first, then a transposition and two levels of merging. */
INLINE void sort_16(i32 *data) {
  v128_t a = wasm_v128_load(data), b = wasm_v128_load(data + 4);
  v128_t c = wasm_v128_load(data + 8), d = wasm_v128_load(data + 12);
  ORDER(a, b);
  ORDER(c, d);
  ORDER(a, c);
  ORDER(b, d);
  ORDER(b, c);
  v128_t ab = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), cd = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5);
  v128_t ab2 = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7), cd2 = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
  a = wasm_i32x4_shuffle(ab, cd, 0, 1, 4, 5);
  b = wasm_i32x4_shuffle(ab, cd, 2, 3, 6, 7);
  c = wasm_i32x4_shuffle(ab2, cd2, 0, 1, 4, 5);
  d = wasm_i32x4_shuffle(ab2, cd2, 2, 3, 6, 7);
  merge_vectors(&a, &b);
  merge_vectors(&c, &d);
  merge_vectors(&a, &c); /* a: the smallest four; c: not final */
  merge_vectors(&b, &d); /* d: the largest four */
  merge_vectors(&b, &c);
  wasm_v128_store(data, a);
  wasm_v128_store(data + 4, b);
  wasm_v128_store(data + 8, c);
  wasm_v128_store(data + 12, d);
}

EXPORT void run(i32 *data, i32 *scratch, i32 n) {
  i32 whole = n & ~15, *from = data, *to = scratch;
  for (i32 i = 0; i < whole; i += 16) sort_16(data + i);
  for (i32 width = 16; width < whole; width *= 2) {
    for (i32 i = 0; i < whole; i += 2 * width) {
      i32 middle = i + width, end = i + 2 * width < whole ? i + 2 * width : whole;
      if (middle < whole)
        merge_runs(from + i, from + middle, from + end, to + i);
      else
        for (i32 k = i; k < whole; k++) to[k] = from[k];
    }
    i32 *swap = from;
    from = to;
    to = swap;
  }
  if (from != data)
    for (i32 i = 0; i < whole; i++) data[i] = from[i];
  /* The last n % 16 values: sort them apart, then merge from the back. */
  for (i32 i = whole + 1; i < n; i++) insert(data, whole, i);
  i32 tail[16], left = n - whole, a = whole;
  if (!whole) return;
  for (i32 i = 0; i < left; i++) tail[i] = data[whole + i];
  for (i32 at = n - 1; left > 0; at--) data[at] = a > 0 && data[a - 1] > tail[left - 1] ? data[--a] : tail[--left];
}

#else

#ifdef FT_HYBRID
#define SHORT 24
#else
#define SHORT 1
#endif

INLINE i32 median(i32 a, i32 b, i32 c) {
  if (a < b) return b < c ? b : a < c ? c : a;
  return a < c ? a : b < c ? c : b;
}

#ifdef FT_BRANCHLESS
/* Values of data[low..high) below `pivot` to the front; returns where they end. */
INLINE i32 partition_below(i32 *data, i32 low, i32 high, i32 pivot) {
  i32 k = low;
  UNROLL(4)
  for (i32 i = low; i < high; i++) {
    i32 value = data[i];
    data[i] = data[k];
    data[k] = value;
    k += value < pivot;
  }
  return k;
}
/* The same for values not above `pivot`. */
INLINE i32 partition_not_above(i32 *data, i32 low, i32 high, i32 pivot) {
  i32 k = low;
  UNROLL(4)
  for (i32 i = low; i < high; i++) {
    i32 value = data[i];
    data[i] = data[k];
    data[k] = value;
    k += value <= pivot;
  }
  return k;
}
#else
/* Hoare's partition of data[low..high]: returns the last index of the left part. */
INLINE i32 partition(i32 *data, i32 low, i32 high, i32 pivot) {
  i32 i = low - 1, j = high + 1;
  for (;;) {
    do i++;
    while (data[i] < pivot);
    do j--;
    while (data[j] > pivot);
    if (i >= j) return j;
    i32 value = data[i];
    data[i] = data[j];
    data[j] = value;
  }
}
#endif

EXPORT void run(i32 *data, i32 *scratch, i32 n) {
  i32 stack[64], depth = 0, low = 0, high = n - 1;
  (void)scratch;
#ifdef FT_INSERTION
  i32 i = 1;
  for (i64 budget = 8 * (i64)n + 256; i < n && budget >= 0; i++) budget -= insert(data, 0, i);
  if (i >= n) return;
#endif
  for (;;) {
    while (high - low >= SHORT) {
      i32 pivot = median(data[low], data[low + (high - low) / 2], data[high]), left_end, right_start;
#ifdef FT_BRANCHLESS
      right_start = partition_below(data, low, high + 1, pivot);
      left_end = right_start - 1;
      if (right_start == low) { /* nothing is smaller: the values equal to the pivot are in place */
        low = partition_not_above(data, low, high + 1, pivot);
        continue;
      }
#else
      left_end = partition(data, low, high, pivot);
      right_start = left_end + 1;
#endif
      /* The longer part waits, so that at most log2 n of them do. */
      if (left_end - low < high - right_start) {
        stack[depth++] = right_start;
        stack[depth++] = high;
        high = left_end;
      } else {
        stack[depth++] = low;
        stack[depth++] = left_end;
        low = right_start;
      }
    }
#ifdef FT_HYBRID
    for (i32 k = low + 1; k <= high; k++) insert(data, low, k);
#endif
    if (!depth) return;
    high = stack[--depth];
    low = stack[--depth];
  }
}
#endif
