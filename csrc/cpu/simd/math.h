// exp, sigmoid and tanh of a register. float32: sigmoid is at most 2 ulp (below -10, where it vanishes: 6) and tanh 3
// ulp from the true value (tests/ops/test_simd.py measures it); float64 calls the C library lane by lane, since float64
// is there for checks, not for speed.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {

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

// exp(x) = scale (1 + tail), scale a power of two, tail = expm1 of the rest, |rest| <= ln(2)/2; |x| must be
// below 88
struct SplitExp {
  Vec<float> scale, tail;
};

MAMRL_FN SplitExp split_exp(Vec<float> x) {
  // adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits
  const float magic = 12582912.0f;
  const Vec<float> shifted = x * 1.44269504f + magic;
  const Vec<float> n = shifted - magic;
#if defined(__FMA__)
  // one rounding, and float(ln 2) is right to 3e-9: one step of reduction is enough
  const Vec<float> r = x - n * 0.693147182f;
#else
  // n times the first constant, which has few bits, is exact
  const Vec<float> r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
#endif
  // minimax of (exp(r) - 1 - r) / r^2: relative error of exp 3e-9
  Vec<float> p = broadcast(0.001395060232f);
  p = p * r + 0.008368953509f;
  p = p * r + 0.04166620414f;
  p = p * r + 0.1666651831f;
  p = p * r + 0.5000000096f;
  IntVec bits;
  __builtin_memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits << 23) + 0x3F800000;
  SplitExp e;
  __builtin_memcpy(&e.scale, &bits, sizeof(bits));
  e.tail = p * (r * r) + r;
  return e;
}

// numerator / denominator, the denominator normal and positive
MAMRL_FN Vec<float> quotient(Vec<float> numerator, Vec<float> denominator) {
#if defined(__AVX512F__)
  // a division keeps the port that half of the FMAs need for 10 cycles; this is an estimate to 14 bits and a Newton step
  const Vec<float> inverse = _mm512_maskz_rcp14_ps(static_cast<__mmask16>(-1), denominator);
  const Vec<float> estimate = numerator * inverse;
  return (numerator - denominator * estimate) * inverse + estimate;
#else
  return numerator / denominator;
#endif
}

MAMRL_FN Vec<float> exp(Vec<float> x) {
  const SplitExp e = split_exp(at_most(87.0f, at_least(-87.0f, x)));
  return e.scale * e.tail + e.scale;
}

MAMRL_FN Vec<float> sigmoid(Vec<float> x) {
  const SplitExp e = split_exp(at_most(87.0f, at_least(-87.0f, -x)));
  return quotient(broadcast(1.0f), (e.scale + 1.0f) + e.scale * e.tail);
}

// expm1(2x) / (expm1(2x) + 2): no cancellation near zero
MAMRL_FN Vec<float> tanh(Vec<float> x) {
  const SplitExp e = split_exp(at_most(20.0f, at_least(-20.0f, x + x)));
  const Vec<float> expm1 = e.scale * e.tail + (e.scale - 1.0f);
  return quotient(expm1, expm1 + 2.0f);
}

MAMRL_FN Vec<double> exp(Vec<double> x) {
  for (int64_t lane = 0; lane < kLanes<double>; ++lane) x[lane] = __builtin_exp(x[lane]);
  return x;
}

MAMRL_FN Vec<double> sigmoid(Vec<double> x) { return 1.0 / (1.0 + exp(-x)); }

MAMRL_FN Vec<double> tanh(Vec<double> x) {
  for (int64_t lane = 0; lane < kLanes<double>; ++lane) x[lane] = __builtin_tanh(x[lane]);
  return x;
}

}  // namespace mamrl::MAMRL_SIMD
