// What the kernels of the small ops in csrc/cpu/simd work on: recursions over time down the columns of row-major
// (horizon, columns) arrays, and the sums of the linear baseline. Pointers may be null where a comment says so.
#pragma once

#include <cstdint>

namespace mamrl {

template <class T>
struct GaeColumns {
  const T *rewards, *values, *next_values;
  const bool *terminations, *truncations;  // each may be null
  T* advantages;
  int64_t horizon, columns;
  T discount, discount_lambda;
};

template <class T>
struct GaeBackwardColumns {
  const T* grad;
  const bool *terminations, *truncations;  // each may be null
  T *grad_rewards, *grad_values;
  T* grad_next_values;  // null: row t + 1 of grad_values takes it
  int64_t horizon, columns;
  T discount, discount_lambda;
};

template <class T>
struct ReturnsColumns {
  const T *rewards, *next_values;          // the latter may be null
  const bool *terminations, *truncations;  // each may be null
  T* returns;
  int64_t horizon, columns;
  T discount;
};

template <class T>
struct ReturnsBackwardColumns {
  const T* grad;
  const bool *terminations, *truncations;  // each may be null
  T *grad_rewards, *grad_next_values;
  int64_t horizon, columns;
  T discount;
};

// powers: discount^t, one a row; scales: one a column
template <class T>
struct DiceWeightsColumns {
  const T* rewards;  // advantages where `totals` is null: their weights are not summed
  const double* powers;
  T* pair_weights;
  double* totals;  // zero at first
  int64_t horizon, columns;
};

template <class T>
struct DiceGradientColumns {
  const T *pair_weights, *baseline;  // the latter may be null
  const double* powers;
  const T* scales;
  T* gradient;
  int64_t horizon, columns;
};

template <class T>
struct DiceProductColumns {
  const T *vector, *pair_weights, *baseline;  // the last may be null
  const double* powers;
  const T* scales;
  T* product;
  double *sums, *carried;  // (columns,), zero at first
  int64_t horizon, columns;
};

// Samples whose features are expanded at a time: with 17 observations they and the Gram matrix stay in L1.
constexpr int64_t kBaselineSamples = 64;

// One chain's share of observations (T, M, K, O) and returns (T, M, K).
template <class T>
struct BaselineChain {
  const T *observations, *returns;
  T* predictions;
  int64_t horizon, chains, trajectories, size;
  int64_t chain;
  bool in_double;  // sums of kBaselineSamples samples and predictions too, instead of in T

  // a sample's features as a row: obs, obs^2, the return; then padding, so that what is stored in whole registers of
  // any level stays in the row
  int64_t used() const { return 2 * size + 1; }
  int64_t padded() const { return (size + 15) / 16 * 16; }
  int64_t width() const { return (size + padded() + 1 + 15) / 16 * 16; }
  int64_t scratch() const { return kBaselineSamples * width(); }
};

}  // namespace mamrl
