// exp, sigmoid and tanh of a register. float32: sigmoid is at most 2 ulp (below -10, where it vanishes: 6) and tanh 2.7
// ulp from the true value (tests/ops/test_simd.py measures it); float64 calls the C library lane by lane, since float64
// is there for checks, not for speed.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {

#define MAMRL_EACH(count) _Pragma("GCC unroll 8") for (int n = 0; n < count; ++n)

typedef int32_t IntVec __attribute__((vector_size(kVectorBytes)));

// `x` where it lies within the bound, the bound elsewhere; NaN stays NaN. (GCC 12 warns of an uninitialised
// register in the AVX-512 intrinsics that take no mask.)
MAMRL_FN Vec<float> at_most(float bound, Vec<float> x) {
#if defined(__AVX512F__)
  return _mm512_maskz_min_ps(static_cast<__mmask16>(-1), broadcast(bound), x);
#elif defined(__AVX2__)
  return _mm256_min_ps(broadcast(bound), x);
#elif defined(__SSE2__)
  return _mm_min_ps(broadcast(bound), x);
#else
  const Vec<float> limit = broadcast(bound);
  return limit < x ? limit : x;
#endif
}

MAMRL_FN Vec<float> at_least(float bound, Vec<float> x) {
#if defined(__AVX512F__)
  return _mm512_maskz_max_ps(static_cast<__mmask16>(-1), broadcast(bound), x);
#elif defined(__AVX2__)
  return _mm256_max_ps(broadcast(bound), x);
#elif defined(__SSE2__)
  return _mm_max_ps(broadcast(bound), x);
#else
  const Vec<float> limit = broadcast(bound);
  return limit > x ? limit : x;
#endif
}

// exp(x) = scale (1 + tail), scale a power of two, tail = expm1 of the rest, |rest| <= ln(2)/2; |x| must be below 88.
// Of N registers at once, step by step: one alone is a chain of 60 cycles of latency, and the CPU looks ahead too
// little to overlap two of them by itself.
template <int N>
MAMRL_FN void split_exp(const Vec<float> (&x)[N], Vec<float> (&scale)[N], Vec<float> (&tail)[N]) {
  // adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits
  const float magic = 12582912.0f;
  Vec<float> shifted[N], r[N], p[N];
  MAMRL_EACH(N) shifted[n] = x[n] * 1.44269504f + magic;
  MAMRL_EACH(N) {
    const Vec<float> whole = shifted[n] - magic;
#if defined(__FMA__)
    // one rounding, and float(ln 2) is right to 3e-9: one step of reduction is enough
    r[n] = x[n] - whole * 0.693147182f;
#else
    // n times the first constant, which has few bits, is exact
    r[n] = (x[n] - whole * 0.693359375f) - whole * -2.12194440e-4f;
#endif
  }
  MAMRL_EACH(N) {
    IntVec bits;
    __builtin_memcpy(&bits, &shifted[n], sizeof(bits));
    bits = (bits << 23) + 0x3F800000;
    __builtin_memcpy(&scale[n], &bits, sizeof(bits));
  }
  // minimax of (exp(r) - 1 - r) / r^2: relative error of exp 3e-9
  MAMRL_EACH(N) p[n] = 0.001395060232f * r[n] + 0.008368953509f;
  MAMRL_EACH(N) p[n] = p[n] * r[n] + 0.04166620414f;
  MAMRL_EACH(N) p[n] = p[n] * r[n] + 0.1666651831f;
  MAMRL_EACH(N) p[n] = p[n] * r[n] + 0.5000000096f;
  MAMRL_EACH(N) tail[n] = p[n] * (r[n] * r[n]) + r[n];
}

// numerator / denominator, the denominator normal and positive
template <int N>
MAMRL_FN void quotients(const Vec<float> (&numerator)[N], const Vec<float> (&denominator)[N], Vec<float> (&result)[N]) {
#if defined(__AVX512F__)
  // a division keeps the port that half of the FMAs need for 10 cycles; this is an estimate to 14 bits and a Newton
  // step
  Vec<float> inverse[N], estimate[N];
  MAMRL_EACH(N) inverse[n] = _mm512_maskz_rcp14_ps(static_cast<__mmask16>(-1), denominator[n]);
  MAMRL_EACH(N) estimate[n] = numerator[n] * inverse[n];
  MAMRL_EACH(N) result[n] = (numerator[n] - denominator[n] * estimate[n]) * inverse[n] + estimate[n];
#else
  MAMRL_EACH(N) result[n] = numerator[n] / denominator[n];
#endif
}

// in place
template <int N>
MAMRL_FN void sigmoids(Vec<float> (&x)[N]) {
  Vec<float> scale[N], tail[N], one[N];
  MAMRL_EACH(N) x[n] = at_most(87.0f, at_least(-87.0f, -x[n]));
  split_exp(x, scale, tail);
  MAMRL_EACH(N) tail[n] = (scale[n] + 1.0f) + scale[n] * tail[n];
  MAMRL_EACH(N) one[n] = broadcast(1.0f);
  quotients(one, tail, x);
}

// in place; expm1(2x) / (expm1(2x) + 2) has no cancellation near zero
template <int N>
MAMRL_FN void tanhs(Vec<float> (&x)[N]) {
  Vec<float> scale[N], tail[N], sum[N];
  MAMRL_EACH(N) x[n] = at_most(20.0f, at_least(-20.0f, x[n] + x[n]));
  split_exp(x, scale, tail);
  MAMRL_EACH(N) tail[n] = scale[n] * tail[n] + (scale[n] - 1.0f);
  MAMRL_EACH(N) sum[n] = tail[n] + 2.0f;
  quotients(tail, sum, x);
}

MAMRL_FN Vec<float> exp(Vec<float> x) {
  const Vec<float> bounded[1] = {at_most(87.0f, at_least(-87.0f, x))};
  Vec<float> scale[1], tail[1];
  split_exp(bounded, scale, tail);
  return scale[0] * tail[0] + scale[0];
}

MAMRL_FN Vec<double> exp(Vec<double> x) {
  for (int64_t lane = 0; lane < kLanes<double>; ++lane) x[lane] = __builtin_exp(x[lane]);
  return x;
}

template <int N>
MAMRL_FN void sigmoids(Vec<double> (&x)[N]) {
  MAMRL_EACH(N) x[n] = 1.0 / (1.0 + exp(-x[n]));
}

MAMRL_FN Vec<double> tanh(Vec<double> x) {
  for (int64_t lane = 0; lane < kLanes<double>; ++lane) x[lane] = __builtin_tanh(x[lane]);
  return x;
}

template <int N>
MAMRL_FN void tanhs(Vec<double> (&x)[N]) {
  MAMRL_EACH(N) x[n] = tanh(x[n]);
}

MAMRL_FN Vec<float> tanh(Vec<float> x) {
  Vec<float> all[1] = {x};
  tanhs(all);
  return all[0];
}

#undef MAMRL_EACH

}  // namespace mamrl::MAMRL_SIMD
