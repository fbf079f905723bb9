/* In-place forward FFT of the first 2^k ≤ n values (k as large as fits), decimation in time, f32, split re/im.
 * Twiddles come as tables: entry h + j is exp(-πi·j/h) for h = 1, 2, 4 … and j < h, so every stage reads its own
 * run of neighbours. `radix4` does two stages in one pass over memory. */
#include "fleetune.h"

INLINE void swap(f32 *a, f32 *b) {
  f32 value = *a;
  *a = *b;
  *b = value;
}

INLINE void bit_reverse(f32 *re, f32 *im, i32 n) {
  for (i32 i = 1, j = 0; i < n; i++) {
    i32 bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      swap(re + i, re + j);
      swap(im + i, im + j);
    }
  }
}

/* a ± w·b, back into a and b. */
INLINE void butterfly(f32 *are, f32 *aim, f32 *bre, f32 *bim, f32 wr, f32 wi) {
  f32 tr = *bre * wr - *bim * wi, ti = *bre * wi + *bim * wr;
  *bre = *are - tr;
  *bim = *aim - ti;
  *are += tr;
  *aim += ti;
}

#ifdef FT_SIMD
#ifdef FT_RELAXED
#define NEGATIVE_MADD(a, b, c) wasm_f32x4_relaxed_nmadd((a), (b), (c))
#else
#define NEGATIVE_MADD(a, b, c) wasm_f32x4_sub((c), wasm_f32x4_mul((a), (b)))
#endif

/* The stages of 2 and 4 on every four neighbours; n is a multiple of four. */
INLINE void first_two_stages(f32 *values_re, f32 *values_im, i32 n) {
  const v128_t alternate = wasm_f32x4_const(1, -1, 1, -1);
  UNROLL(2)
  for (i32 i = 0; i < n; i += 4) {
    v128_t re = wasm_v128_load(values_re + i), im = wasm_v128_load(values_im + i);
    v128_t xr = wasm_f32x4_add(wasm_i32x4_shuffle(re, re, 0, 0, 2, 2),
                               wasm_f32x4_mul(wasm_i32x4_shuffle(re, re, 1, 1, 3, 3), alternate));
    v128_t xi = wasm_f32x4_add(wasm_i32x4_shuffle(im, im, 0, 0, 2, 2),
                               wasm_f32x4_mul(wasm_i32x4_shuffle(im, im, 1, 1, 3, 3), alternate));
    v128_t tr = wasm_f32x4_mul(wasm_i32x4_shuffle(xr, xi, 2, 7, 2, 7), wasm_f32x4_const(1, 1, -1, -1));
    v128_t ti = wasm_f32x4_mul(wasm_i32x4_shuffle(xi, xr, 2, 7, 2, 7), wasm_f32x4_const(1, -1, -1, 1));
    wasm_v128_store(values_re + i, wasm_f32x4_add(wasm_i32x4_shuffle(xr, xr, 0, 1, 0, 1), tr));
    wasm_v128_store(values_im + i, wasm_f32x4_add(wasm_i32x4_shuffle(xi, xi, 0, 1, 0, 1), ti));
  }
}

INLINE void butterfly_x4(f32 *are, f32 *aim, f32 *bre, f32 *bim, const f32 *cosines, const f32 *sines) {
  v128_t wr = wasm_v128_load(cosines), wi = wasm_v128_load(sines), br = wasm_v128_load(bre), bi = wasm_v128_load(bim);
  v128_t tr = NEGATIVE_MADD(bi, wi, wasm_f32x4_mul(br, wr)), ti = MADD_F32X4(br, wi, wasm_f32x4_mul(bi, wr));
  v128_t ar = wasm_v128_load(are), ai = wasm_v128_load(aim);
  wasm_v128_store(are, wasm_f32x4_add(ar, tr));
  wasm_v128_store(aim, wasm_f32x4_add(ai, ti));
  wasm_v128_store(bre, wasm_f32x4_sub(ar, tr));
  wasm_v128_store(bim, wasm_f32x4_sub(ai, ti));
}

#ifdef FT_RADIX4
INLINE void double_butterfly_x4(f32 *re, f32 *im, i32 h, const f32 *cosines, const f32 *sines, i32 j) {
  v128_t wr = wasm_v128_load(cosines + h + j), wi = wasm_v128_load(sines + h + j);
  v128_t vr = wasm_v128_load(cosines + 2 * h + j), vi = wasm_v128_load(sines + 2 * h + j);
  v128_t ar = wasm_v128_load(re), ai = wasm_v128_load(im), br = wasm_v128_load(re + h), bi = wasm_v128_load(im + h);
  v128_t cr = wasm_v128_load(re + 2 * h), ci = wasm_v128_load(im + 2 * h);
  v128_t dr = wasm_v128_load(re + 3 * h), di = wasm_v128_load(im + 3 * h);
  v128_t tr = NEGATIVE_MADD(bi, wi, wasm_f32x4_mul(br, wr)), ti = MADD_F32X4(br, wi, wasm_f32x4_mul(bi, wr));
  v128_t ur = NEGATIVE_MADD(di, wi, wasm_f32x4_mul(dr, wr)), ui = MADD_F32X4(dr, wi, wasm_f32x4_mul(di, wr));
  br = wasm_f32x4_sub(ar, tr), bi = wasm_f32x4_sub(ai, ti), ar = wasm_f32x4_add(ar, tr), ai = wasm_f32x4_add(ai, ti);
  dr = wasm_f32x4_sub(cr, ur), di = wasm_f32x4_sub(ci, ui), cr = wasm_f32x4_add(cr, ur), ci = wasm_f32x4_add(ci, ui);
  tr = NEGATIVE_MADD(ci, vi, wasm_f32x4_mul(cr, vr)), ti = MADD_F32X4(cr, vi, wasm_f32x4_mul(ci, vr));
  ur = NEGATIVE_MADD(di, vi, wasm_f32x4_mul(dr, vr)), ui = MADD_F32X4(dr, vi, wasm_f32x4_mul(di, vr));
  wasm_v128_store(re, wasm_f32x4_add(ar, tr));
  wasm_v128_store(im, wasm_f32x4_add(ai, ti));
  wasm_v128_store(re + h, wasm_f32x4_add(br, ui));
  wasm_v128_store(im + h, wasm_f32x4_sub(bi, ur));
  wasm_v128_store(re + 2 * h, wasm_f32x4_sub(ar, tr));
  wasm_v128_store(im + 2 * h, wasm_f32x4_sub(ai, ti));
  wasm_v128_store(re + 3 * h, wasm_f32x4_sub(br, ui));
  wasm_v128_store(im + 3 * h, wasm_f32x4_add(bi, ur));
}
#endif
#endif

/* Joins neighbours of h values into transforms of 2h. */
INLINE void stage(f32 *re, f32 *im, i32 n, i32 h, const f32 *cosines, const f32 *sines) {
  for (i32 base = 0; base < n; base += 2 * h) {
    i32 j = 0;
#ifdef FT_SIMD
    UNROLL(2)
    for (; j + 4 <= h; j += 4) {
      i32 a = base + j, b = a + h;
      butterfly_x4(re + a, im + a, re + b, im + b, cosines + h + j, sines + h + j);
    }
#endif
    UNROLL(2)
    for (; j < h; j++) {
      i32 a = base + j, b = a + h;
      butterfly(re + a, im + a, re + b, im + b, cosines[h + j], sines[h + j]);
    }
  }
}

#ifdef FT_RADIX4
#ifndef FT_SIMD
/* Four values h apart through the stages of 2h and of 4h. */
INLINE void double_butterfly(f32 *re, f32 *im, i32 h, const f32 *cosines, const f32 *sines, i32 j) {
  f32 wr = cosines[h + j], wi = sines[h + j], vr = cosines[2 * h + j], vi = sines[2 * h + j];
  f32 tr = re[h] * wr - im[h] * wi, ti = re[h] * wi + im[h] * wr;
  f32 ur = re[3 * h] * wr - im[3 * h] * wi, ui = re[3 * h] * wi + im[3 * h] * wr;
  f32 ar = re[0] + tr, ai = im[0] + ti, br = re[0] - tr, bi = im[0] - ti;
  f32 cr = re[2 * h] + ur, ci = im[2 * h] + ui, dr = re[2 * h] - ur, di = im[2 * h] - ui;
  tr = cr * vr - ci * vi, ti = cr * vi + ci * vr;
  ur = dr * vr - di * vi, ui = dr * vi + di * vr;
  re[0] = ar + tr, im[0] = ai + ti;
  re[h] = br + ui, im[h] = bi - ur; /* times -i */
  re[2 * h] = ar - tr, im[2 * h] = ai - ti;
  re[3 * h] = br - ui, im[3 * h] = bi + ur;
}
#endif

INLINE void double_stage(f32 *re, f32 *im, i32 n, i32 h, const f32 *cosines, const f32 *sines) {
  for (i32 base = 0; base < n; base += 4 * h) {
#ifdef FT_SIMD
    for (i32 j = 0; j < h; j += 4) double_butterfly_x4(re + base + j, im + base + j, h, cosines, sines, j);
#else
    for (i32 j = 0; j < h; j++) double_butterfly(re + base + j, im + base + j, h, cosines, sines, j);
#endif
  }
}
#endif

EXPORT void run(f32 *re, f32 *im, const f32 *cosines, const f32 *sines, i32 n) {
  i32 length = 1, h = 1;
  while (length * 2 <= n) length *= 2;
  if (n < 2) return;
  bit_reverse(re, im, length);
#ifdef FT_SIMD
  if (length >= 4) {
    first_two_stages(re, im, length);
    h = 4;
  }
#endif
#ifdef FT_RADIX4
  i32 stages = __builtin_ctz(length) - __builtin_ctz(h);
  if (stages & 1) {
    stage(re, im, length, h, cosines, sines);
    h *= 2;
  }
  for (; h < length; h *= 4) double_stage(re, im, length, h, cosines, sines);
#else
  for (; h < length; h *= 2) stage(re, im, length, h, cosines, sines);
#endif
}
