// e^x and the logistic function over rows, in arithmetic that compilers turn into vector code.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#define MAMRL_INLINE inline __attribute__((always_inline))

namespace mamrl {

// Bounds the arguments of vector_exp. A loop of its own: inside the next one GCC moves the bound behind the
// polynomial, whose garbage lanes then cost forty times as much.
template <class T>
MAMRL_INLINE void bound_exponents(T* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] < T(-80) ? T(-80) : x[i];
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] > T(80) ? T(80) : x[i];
}

// e^x for bounded x, relative error below 2e-7
MAMRL_INLINE float vector_exp(float x) {
  const float n = std::floor(x * 1.44269504088896341f + 0.5f);
  // ln 2 in two parts keeps the remainder exact
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float poly = 1.0f / 5040;
  poly = poly * r + 1.0f / 720;
  poly = poly * r + 1.0f / 120;
  poly = poly * r + 1.0f / 24;
  poly = poly * r + 1.0f / 6;
  poly = poly * r + 0.5f;
  poly = poly * r * r + r + 1.0f;
  return poly * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}
MAMRL_INLINE double vector_exp(double x) { return std::exp(x); }

// x := 1 / (1 + e^-x)
template <class T>
MAMRL_INLINE void logistic(T* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = -x[i];
  bound_exponents(x, count);
  for (int64_t i = 0; i < count; ++i) x[i] = T(1) / (T(1) + vector_exp(x[i]));
}

}  // namespace mamrl
