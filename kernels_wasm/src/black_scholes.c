/* Prices of European calls (Black, Scholes 1973), f32: spot, strike and years per option, one rate and volatility.
 * exp and log follow Cephes (range reduction and a polynomial, relative error below 2e-7), the normal distribution
 * Abramowitz and Stegun 26.2.17 (absolute error below 8e-8); `lookupTable` takes it from 64 cubics instead (2e-6). */
#include "fleetune.h"

#define LOG2_E 1.44269504f
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define INVERSE_SQRT_2PI 0.39894228f

typedef union { f32 value; i32 bits; } f32_bits;

/* Defined for -87 ≤ x ≤ 88; smaller is clamped. */
INLINE f32 exponential(f32 x) {
  x = x < -87.0f ? -87.0f : x;
  f32 k = __builtin_elementwise_roundeven(x * LOG2_E);
  f32 r = x - k * LN2_HIGH - k * LN2_LOW;
  f32 p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  f32_bits scale = {.bits = ((i32)k + 127) << 23};
  return (p * r * r + r + 1) * scale.value;
}

/* Defined for normal positive x. */
INLINE f32 logarithm(f32 x) {
  f32_bits m = {.value = x};
  i32 e = (m.bits - 0x3f3504f3) >> 23; /* so that the rest lies in [√½, √2) */
  m.bits -= e << 23;
  f32 r = m.value - 1, r2 = r * r, p = 7.0376836292e-2f;
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  return r + (p * r * r2 + (f32)e * LN2_LOW - 0.5f * r2) + (f32)e * LN2_HIGH;
}

#ifdef FT_LOOKUP
/* Normal distribution at -6 + 12·k/64 and its slope per interval. */
static const f32 cubics[65][2] = {
    {9.8658765e-10f, 1.139228e-09f}, {3.0773342e-09f, 3.4479255e-09f}, {9.2753987e-09f, 1.0074811e-08f},
    {2.7016675e-08f, 2.8421552e-08f}, {7.6049605e-08f, 7.7408831e-08f}, {2.0689703e-07f, 2.0354716e-07f},
    {5.4404228e-07f, 5.1673924e-07f}, {1.3828135e-06f, 1.266513e-06f}, {3.3976731e-06f, 2.9969515e-06f},
    {8.0709441e-06f, 6.8467047e-06f}, {1.8536738e-05f, 1.5101334e-05f}, {4.1167466e-05f, 3.2157396e-05f},
    {8.8417285e-05f, 6.611169e-05f}, {0.00018366995f, 0.00013122225f}, {0.00036907845f, 0.00025145979f},
    {0.00071754229f, 0.00046522328f}, {0.001349898f, 0.00083097158f}, {0.0024579012f, 0.0014329886f},
    {0.0043324484f, 0.002385784f}, {0.0073946071f, 0.0038348763f}, {0.012224473f, 0.0059511847f},
    {0.019580079f, 0.0089163546f}, {0.030396362f, 0.012897427f}, {0.045753625f, 0.018011531f},
    {0.066807201f, 0.024284549f}, {0.094675743f, 0.031611222f}, {0.13029452f, 0.039726871f},
    {0.17425071f, 0.048201358f}, {0.22662735f, 0.056463269f}, {0.2868877f, 0.063856424f},
    {0.35383023f, 0.06972283f}, {0.42563431f, 0.073498293f}, {0.5f, 0.074801678f}, {0.57436569f, 0.073498293f},
    {0.64616977f, 0.06972283f}, {0.7131123f, 0.063856424f}, {0.77337265f, 0.056463269f},
    {0.82574929f, 0.048201358f}, {0.86970548f, 0.039726871f}, {0.90532426f, 0.031611222f},
    {0.9331928f, 0.024284549f}, {0.95424638f, 0.018011531f}, {0.96960364f, 0.012897427f},
    {0.98041992f, 0.0089163546f}, {0.98777553f, 0.0059511847f}, {0.99260539f, 0.0038348763f},
    {0.99566755f, 0.002385784f}, {0.9975421f, 0.0014329886f}, {0.9986501f, 0.00083097158f},
    {0.99928246f, 0.00046522328f}, {0.99963092f, 0.00025145979f}, {0.99981633f, 0.00013122225f},
    {0.99991158f, 6.611169e-05f}, {0.99995883f, 3.2157396e-05f}, {0.99998146f, 1.5101334e-05f},
    {0.99999193f, 6.8467047e-06f}, {0.9999966f, 2.9969515e-06f}, {0.99999862f, 1.266513e-06f},
    {0.99999946f, 5.1673924e-07f}, {0.99999979f, 2.0354716e-07f}, {0.99999992f, 7.7408831e-08f},
    {0.99999997f, 2.8421552e-08f}, {0.99999999f, 1.0074811e-08f}, {1.0f, 3.4479255e-09f},
    {1.0f, 1.139228e-09f}};

INLINE f32 normal_distribution(f32 x) {
  if (x <= -6.0f) return 0;
  if (x >= 6.0f) return 1;
  f32 at = (x + 6.0f) * (64.0f / 12.0f);
  i32 k = (i32)at;
  f32 t = at - (f32)k, v0 = cubics[k][0], s0 = cubics[k][1], v1 = cubics[k + 1][0], s1 = cubics[k + 1][1];
  f32 d = v1 - v0; /* Hermite's cubic */
  return v0 + t * (s0 + t * (3 * d - 2 * s0 - s1 + t * (s0 + s1 - 2 * d)));
}
#else
INLINE f32 normal_distribution(f32 x) {
  f32 size = x < 0 ? -x : x, t = 1 / (1 + 0.2316419f * size);
  f32 p = 1.330274429f;
  p = p * t - 1.821255978f;
  p = p * t + 1.781477937f;
  p = p * t - 0.356563782f;
  p = p * t + 0.319381530f;
  f32 tail = p * t * INVERSE_SQRT_2PI * exponential(-0.5f * size * size);
  return x < 0 ? tail : 1 - tail;
}
#endif

/* What has a price: nothing on the way to it leaves f32. Anything else is NaN. */
#define LEAST 0x1p-60f
#define MOST 0x1p60f
#define SHORTEST 0x1p-20f
#define LONGEST 1000.0f

INLINE i32 priced(f32 spot, f32 strike, f32 years, f32 longest) {
  return (spot >= LEAST) & (spot <= MOST) & (strike >= LEAST) & (strike <= MOST) & (years >= SHORTEST) &
         (years <= longest);
}

INLINE f32 price(f32 spot, f32 strike, f32 years, f32 rate, f32 volatility, f32 longest) {
  if (!priced(spot, strike, years, longest)) return __builtin_nanf("");
  f32 deviation = volatility * __builtin_elementwise_sqrt(years);
  f32 d1 = (logarithm(spot / strike) + (rate + 0.5f * volatility * volatility) * years) / deviation;
  f32 discounted = strike * exponential(-rate * years);
  return spot * normal_distribution(d1) - discounted * normal_distribution(d1 - deviation);
}

#ifdef FT_SIMD
#define SPLAT(x) wasm_f32x4_const_splat(x)
#define HORNER(p, x, c) MADD_F32X4(p, x, SPLAT(c))

INLINE v128_t exponential_x4(v128_t x) {
  x = wasm_f32x4_pmax(SPLAT(-87.0f), x);
  v128_t k = wasm_f32x4_nearest(wasm_f32x4_mul(x, SPLAT(LOG2_E)));
  v128_t r = MADD_F32X4(k, SPLAT(-LN2_LOW), MADD_F32X4(k, SPLAT(-LN2_HIGH), x));
  v128_t p = HORNER(SPLAT(1.9875691500e-4f), r, 1.3981999507e-3f);
  p = HORNER(p, r, 8.3334519073e-3f);
  p = HORNER(p, r, 4.1665795894e-2f);
  p = HORNER(p, r, 1.6666665459e-1f);
  p = HORNER(p, r, 5.0000001201e-1f);
  p = wasm_f32x4_add(MADD_F32X4(wasm_f32x4_mul(p, r), r, r), SPLAT(1));
  v128_t exponent = wasm_i32x4_add(wasm_i32x4_trunc_sat_f32x4(k), wasm_i32x4_const_splat(127));
  return wasm_f32x4_mul(p, wasm_i32x4_shl(exponent, 23));
}

INLINE v128_t logarithm_x4(v128_t x) {
  v128_t exponent = wasm_i32x4_shr(wasm_i32x4_sub(x, wasm_i32x4_const_splat(0x3f3504f3)), 23);
  v128_t e = wasm_f32x4_convert_i32x4(exponent);
  v128_t r = wasm_f32x4_sub(wasm_i32x4_sub(x, wasm_i32x4_shl(exponent, 23)), SPLAT(1));
  v128_t r2 = wasm_f32x4_mul(r, r);
  v128_t p = HORNER(SPLAT(7.0376836292e-2f), r, -1.1514610310e-1f);
  p = HORNER(p, r, 1.1676998740e-1f);
  p = HORNER(p, r, -1.2420140846e-1f);
  p = HORNER(p, r, 1.4249322787e-1f);
  p = HORNER(p, r, -1.6668057665e-1f);
  p = HORNER(p, r, 2.0000714765e-1f);
  p = HORNER(p, r, -2.4999993993e-1f);
  p = HORNER(p, r, 3.3333331174e-1f);
  p = MADD_F32X4(wasm_f32x4_mul(p, r), r2, wasm_f32x4_mul(e, SPLAT(LN2_LOW)));
  p = wasm_f32x4_add(r, MADD_F32X4(r2, SPLAT(-0.5f), p));
  return MADD_F32X4(e, SPLAT(LN2_HIGH), p);
}

INLINE v128_t normal_distribution_x4(v128_t x) {
  v128_t size = wasm_f32x4_abs(x);
  v128_t t = wasm_f32x4_div(SPLAT(1), HORNER(size, SPLAT(0.2316419f), 1));
  v128_t p = HORNER(SPLAT(1.330274429f), t, -1.821255978f);
  p = HORNER(p, t, 1.781477937f);
  p = HORNER(p, t, -0.356563782f);
  p = HORNER(p, t, 0.319381530f);
  v128_t density = wasm_f32x4_mul(SPLAT(INVERSE_SQRT_2PI),
                                  exponential_x4(wasm_f32x4_mul(SPLAT(-0.5f), wasm_f32x4_mul(size, size))));
  v128_t tail = wasm_f32x4_mul(wasm_f32x4_mul(p, t), density);
  return wasm_v128_bitselect(tail, wasm_f32x4_sub(SPLAT(1), tail), wasm_i32x4_shr(x, 31));
}

INLINE v128_t price_x4(const f32 *spots, const f32 *strikes, const f32 *times, f32 rate, f32 volatility, f32 longest) {
  v128_t spot = wasm_v128_load(spots), strike = wasm_v128_load(strikes), years = wasm_v128_load(times);
  v128_t deviation = wasm_f32x4_mul(wasm_f32x4_splat(volatility), wasm_f32x4_sqrt(years));
  v128_t drift = wasm_f32x4_splat(rate + 0.5f * volatility * volatility);
  v128_t d1 = wasm_f32x4_div(MADD_F32X4(drift, years, logarithm_x4(wasm_f32x4_div(spot, strike))), deviation);
  v128_t discounted = wasm_f32x4_mul(strike, exponential_x4(wasm_f32x4_mul(wasm_f32x4_splat(-rate), years)));
  v128_t second = wasm_f32x4_mul(discounted, normal_distribution_x4(wasm_f32x4_sub(d1, deviation)));
  v128_t prices = wasm_v128_and(wasm_f32x4_le(wasm_f32x4_max(spot, strike), SPLAT(MOST)),
                                wasm_f32x4_ge(wasm_f32x4_min(spot, strike), SPLAT(LEAST)));
  v128_t times_fit = wasm_v128_and(wasm_f32x4_ge(years, SPLAT(SHORTEST)),
                                   wasm_f32x4_le(years, wasm_f32x4_splat(longest)));
  v128_t value = wasm_f32x4_sub(wasm_f32x4_mul(spot, normal_distribution_x4(d1)), second);
  return wasm_v128_or(value, wasm_v128_not(wasm_v128_and(prices, times_fit))); /* all ones are a NaN */
}
#endif

EXPORT void run(const f32 *spot, const f32 *strike, const f32 *years, f32 *call, i32 n, f32 rate, f32 volatility) {
  i32 i = 0;
  f32 longest = rate < 0 && -LONGEST * rate > 80.0f ? 80.0f / -rate : LONGEST;
#ifdef FT_SIMD
  UNROLL(2)
  for (; i + 4 <= n; i += 4) wasm_v128_store(call + i, price_x4(spot + i, strike + i, years + i, rate, volatility, longest));
#endif
  UNROLL(2)
  for (; i < n; i++) call[i] = price(spot[i], strike[i], years[i], rate, volatility, longest);
}
