// GELU in its tanh form (Hendrycks and Gimpel 2016) for one number; and, for the CPU, e^x, the logistic function and
// GELU over rows, in arithmetic that compilers turn into vector code.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "common/host_device.h"

namespace mamrl {

// gelu(x) = x/2 (1 + tanh(u)) = x s(2u), u = sqrt(2/pi) (x + 0.044715 x^3), s the logistic function
template <class T>
struct Gelu {
  static constexpr T kScale = T(1.5957691216057308), kCubic = T(0.044715);

  // 2u
  static MAMRL_METHOD T argument(T x) { return kScale * x * (T(1) + kCubic * x * x); }
  // from s(2u) and the value
  static MAMRL_METHOD T slope(T x, T gate, T value) {
    return gate + value * (T(1) - gate) * kScale * (T(1) + T(3) * kCubic * x * x);
  }
};

// Bounds the arguments of vector_exp. A loop of its own: inside the next one GCC moves the bound behind the
// polynomial, whose garbage lanes then cost forty times as much.
template <class T>
MAMRL_FN void bound_exponents(T* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] < T(-80) ? T(-80) : x[i];
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] > T(80) ? T(80) : x[i];
}

// e^x for bounded x, relative error below 2e-7
MAMRL_FN float vector_exp(float x) {
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
  const int32_t exponent = (static_cast<int32_t>(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &exponent, sizeof(scale));
  return poly * scale;
}
MAMRL_FN double vector_exp(double x) { return std::exp(x); }

// x := 1 / (1 + e^-x)
template <class T>
MAMRL_FN void logistic(T* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = -x[i];
  bound_exponents(x, count);
  for (int64_t i = 0; i < count; ++i) x[i] = T(1) / (T(1) + vector_exp(x[i]));
}

// a row of values and slopes; count <= 256
template <class T>
MAMRL_FN void gelu_tanh(const T* __restrict x, T* __restrict value, T* __restrict slope, int64_t count) {
  T gate[256];
  for (int64_t i = 0; i < count; ++i) gate[i] = Gelu<T>::argument(x[i]);
  logistic(gate, count);
  for (int64_t i = 0; i < count; ++i) {
    value[i] = x[i] * gate[i];
    slope[i] = Gelu<T>::slope(x[i], gate[i], value[i]);
  }
}

}  // namespace mamrl
