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

// exp(kRate x) = scale exp(kRate rest), scale a power of two, |kRate rest| <= ln(2)/2; |kRate x| must be below 88.
// kRate is a power of two with a sign, so it costs no rounding. Of N registers at once, step by step: one alone is a
// chain of 60 cycles of latency, and the CPU looks ahead too little to overlap two of them by itself.
template <int kRate, int N>
MAMRL_FN void split_exp(const Vec<float> (&x)[N], Vec<float> (&scale)[N], Vec<float> (&rest)[N]) {
  // adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits, and 127 more make it a float's exponent
  const float magic = 12582912.0f + 127.0f;
  Vec<float> shifted[N];
  MAMRL_EACH(N) shifted[n] = x[n] * (1.44269504f * kRate) + magic;
  MAMRL_EACH(N) {
    const Vec<float> whole = shifted[n] - magic;
#if defined(__FMA__)
    // one rounding, and float(ln 2) is right to 3e-9: one step of reduction is enough
    rest[n] = x[n] - whole * (0.693147182f / kRate);
#else
    // n times the first constant, which has few bits, is exact
    rest[n] = (x[n] - whole * (0.693359375f / kRate)) - whole * (-2.12194440e-4f / kRate);
#endif
  }
  MAMRL_EACH(N) {
    IntVec bits;
    __builtin_memcpy(&bits, &shifted[n], sizeof(bits));
    bits <<= 23;
    __builtin_memcpy(&scale[n], &bits, sizeof(bits));
  }
}

// exp(kRate r) - 1 where |kRate r| <= ln(2)/2: r and r^2 times a minimax quotient, with which exp is right to 3e-9
template <int kRate, int N>
MAMRL_FN void expm1_of_rest(const Vec<float> (&r)[N], Vec<float> (&p)[N]) {
  constexpr float kSquare = kRate * kRate, kCube = kSquare * kRate;
  MAMRL_EACH(N) p[n] = 0.001395060232f * (kCube * kCube) * r[n] + 0.008368953509f * (kSquare * kCube);
  MAMRL_EACH(N) p[n] = p[n] * r[n] + 0.04166620414f * (kSquare * kSquare);
  MAMRL_EACH(N) p[n] = p[n] * r[n] + 0.1666651831f * kCube;
  MAMRL_EACH(N) p[n] = p[n] * r[n] + 0.5000000096f * kSquare;
  MAMRL_EACH(N) p[n] = p[n] * (r[n] * r[n]) + float(kRate) * r[n];
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
  Vec<float> scale[N], rest[N], tail[N], one[N];
  MAMRL_EACH(N) x[n] = at_most(87.0f, at_least(-87.0f, x[n]));
  split_exp<-1>(x, scale, rest);
  expm1_of_rest<-1>(rest, tail);
  MAMRL_EACH(N) tail[n] = scale[n] * tail[n] + (scale[n] + 1.0f);
  MAMRL_EACH(N) one[n] = broadcast(1.0f);
  quotients(one, tail, x);
}

// in place; expm1(2x) / (expm1(2x) + 2) has no cancellation near zero
template <int N>
MAMRL_FN void tanhs(Vec<float> (&x)[N]) {
  Vec<float> scale[N], rest[N], tail[N], sum[N];
  MAMRL_EACH(N) x[n] = at_most(10.0f, at_least(-10.0f, x[n]));
  split_exp<2>(x, scale, rest);
  expm1_of_rest<2>(rest, tail);
  MAMRL_EACH(N) tail[n] = scale[n] * tail[n] + (scale[n] - 1.0f);
  MAMRL_EACH(N) sum[n] = tail[n] + 2.0f;
  quotients(tail, sum, x);
}

MAMRL_FN Vec<float> exp(Vec<float> x) {
  const Vec<float> bounded[1] = {at_most(87.0f, at_least(-87.0f, x))};
  Vec<float> scale[1], rest[1], tail[1];
  split_exp<1>(bounded, scale, rest);
  expm1_of_rest<1>(rest, tail);
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
