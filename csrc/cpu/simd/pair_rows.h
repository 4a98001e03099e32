// What networks over pairs do to activations between their products. These lie unit by unit, (units, rows): registers
// hold rows.
#pragma once

#include "cpu/pair_kernels.h"
#include "cpu/simd/math.h"
#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {

constexpr double kNormEpsilon = 1e-6;

// registers of a unit's rows
template <class T>
constexpr int kVectors = static_cast<int>(kPairRows / kLanes<T>);

#define MAMRL_EACH_VECTOR _Pragma("GCC unroll 8") for (int v = 0; v < kVectors<T>; ++v)

template <class T>
struct Row {
  Vec<T> v[kVectors<T>];
};

template <class T>
MAMRL_FN Row<T> load_row(const T* from) {
  Row<T> row;
  MAMRL_EACH_VECTOR row.v[v] = load(from + v * kLanes<T>);
  return row;
}

template <class T>
MAMRL_FN void store_row(T* to, const Row<T>& row) {
  MAMRL_EACH_VECTOR store(to + v * kLanes<T>, row.v[v]);
}

template <class T>
MAMRL_FN void fill_rows(T* to, T value, int64_t units) {
  for (int64_t i = 0; i < units * kPairRows; ++i) to[i] = value;
}

template <class T>
MAMRL_FN T sum_row(const Row<T>& row) {
  Vec<T> total = row.v[0];
  for (int v = 1; v < kVectors<T>; ++v) total += row.v[v];
  return sum<T>(total);
}

// (x - mean) / spread, then scaled and shifted unit by unit (Ba et al. 2016)
template <class T>
static void normalise(T* y, T* normed, T* spread, const T* weight, const T* shift, int64_t units) {
  Row<T> mean{}, variance{}, inverse;
  for (int64_t u = 0; u < units; ++u) {
    const Row<T> x = load_row(y + u * kPairRows);
    MAMRL_EACH_VECTOR mean.v[v] += x.v[v];
  }
  MAMRL_EACH_VECTOR mean.v[v] /= static_cast<T>(units);
  for (int64_t u = 0; u < units; ++u) {
    const Row<T> x = load_row(y + u * kPairRows);
    MAMRL_EACH_VECTOR variance.v[v] += (x.v[v] - mean.v[v]) * (x.v[v] - mean.v[v]);
  }
  store_row(spread, variance);
  for (int64_t r = 0; r < kPairRows; ++r) {
    spread[r] = T(1) / __builtin_sqrt(spread[r] / static_cast<T>(units) + T(kNormEpsilon));
  }
  inverse = load_row(spread);
  for (int64_t u = 0; u < units; ++u) {
    Row<T> x = load_row(y + u * kPairRows);
    MAMRL_EACH_VECTOR x.v[v] = (x.v[v] - mean.v[v]) * inverse.v[v];
    store_row(normed + u * kPairRows, x);
    MAMRL_EACH_VECTOR x.v[v] = x.v[v] * weight[u] + shift[u];
    store_row(y + u * kPairRows, x);
  }
}

// the adjoint of normalise's argument from that of its result, in place; the gradients where they are asked for
template <class T>
static void normalise_backward(T* d, const T* normed, const T* spread, const T* weight, T* grad_weight, T* grad_shift,
                               int64_t units) {
  Row<T> mean{}, along{};
  for (int64_t u = 0; u < units; ++u) {
    Row<T> x = load_row(d + u * kPairRows);
    const Row<T> n = load_row(normed + u * kPairRows);
    if (grad_weight) {
      Row<T> product;
      MAMRL_EACH_VECTOR product.v[v] = x.v[v] * n.v[v];
      grad_weight[u] += sum_row(product);
      grad_shift[u] += sum_row(x);
    }
    MAMRL_EACH_VECTOR {
      x.v[v] *= weight[u];
      mean.v[v] += x.v[v];
      along.v[v] += x.v[v] * n.v[v];
    }
    store_row(d + u * kPairRows, x);
  }
  const Row<T> inverse = load_row(spread);
  MAMRL_EACH_VECTOR {
    mean.v[v] /= static_cast<T>(units);
    along.v[v] /= static_cast<T>(units);
  }
  for (int64_t u = 0; u < units; ++u) {
    Row<T> x = load_row(d + u * kPairRows);
    const Row<T> n = load_row(normed + u * kPairRows);
    MAMRL_EACH_VECTOR x.v[v] = inverse.v[v] * (x.v[v] - mean.v[v] - n.v[v] * along.v[v]);
    store_row(d + u * kPairRows, x);
  }
}

// registers of a nonlinearity at a time: enough to overlap, few enough that AVX2's sixteen hold them
constexpr int kOverlapped = 4;

// gelu(x) = x s(g), g = sqrt(8/pi) (x + 0.044715 x^3), s the logistic function (Hendrycks and Gimpel 2016), in place,
// with its derivative
template <class T>
static void gelu(T* y, T* slope, int64_t units) {
  constexpr T kScale = T(1.5957691216057308), kCubic = T(0.044715);
  for (int64_t i = 0; i < units * kPairRows; i += kOverlapped * kLanes<T>) {
    Vec<T> gate[kOverlapped];
    for (int v = 0; v < kOverlapped; ++v) {
      const Vec<T> x = load(y + i + v * kLanes<T>);
      gate[v] = kScale * x * (T(1) + kCubic * x * x);
    }
    sigmoids(gate);
    for (int v = 0; v < kOverlapped; ++v) {
      const int64_t at = i + v * kLanes<T>;
      const Vec<T> x = load(y + at), value = x * gate[v];
      store(slope + at, gate[v] + value * (T(1) - gate[v]) * kScale * (T(1) + T(3) * kCubic * x * x));
      store(y + at, value);
    }
  }
}

template <class T>
static void tanh_rows(T* y, int64_t units) {
  for (int64_t i = 0; i < units * kPairRows; i += kOverlapped * kLanes<T>) {
    Vec<T> x[kOverlapped];
    for (int v = 0; v < kOverlapped; ++v) x[v] = load(y + i + v * kLanes<T>);
    tanhs(x);
    for (int v = 0; v < kOverlapped; ++v) store(y + i + v * kLanes<T>, x[v]);
  }
}

template <class T>
MAMRL_FN T logistic(T gate) {
  return T(1) / (T(1) + __builtin_exp(-gate));
}

}  // namespace mamrl::MAMRL_SIMD
