// The linear baseline's normal equations: small positive definite systems, in double.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "common/baseline.h"

namespace mamrl {

constexpr int kRidgeAttempts = 6;

// Solves (matrix + ridge * identity) x = right for a symmetric matrix (n, n) of which the upper triangle is read and
// overwritten; false where it is not numerically positive definite, or x not finite. `right` becomes x.
inline bool cholesky_solve(double* matrix, double ridge, double* right, int64_t n) {
  for (int64_t k = 0; k < n; ++k) {
    double* pivot_row = matrix + k * n;
    const double pivot = pivot_row[k] + ridge;
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    const double scale = 1 / std::sqrt(pivot);
    pivot_row[k] = 1 / scale;
    for (int64_t j = k + 1; j < n; ++j) pivot_row[j] *= scale;
    right[k] *= scale;
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = pivot_row[i];
      double* __restrict__ row = matrix + i * n;
      for (int64_t j = i; j < n; ++j) row[j] -= factor * pivot_row[j];
      right[i] -= factor * right[k];
    }
  }
  bool finite = true;
  for (int64_t k = n - 1; k >= 0; --k) {
    double sum = right[k];
    for (int64_t j = k + 1; j < n; ++j) sum -= matrix[k * n + j] * right[j];
    right[k] = sum / matrix[k * n + k];
    finite = finite && std::isfinite(right[k]);
  }
  return finite;
}

// Normal equations of one chain where the observation is one of S states: `counts`, sums of returns and sums of time
// features by state, and the same over all samples. One-hot features are orthogonal, so elimination leaves a system of
// four. A one-hot and its square are the same feature: the ridge on their equal halves is half a ridge on their sum.
struct StateSums {
  explicit StateSums(int64_t states) : counts(states), returns(states), times(states * kTimeFeatures) {}

  std::vector<double> counts, returns, times;
  double time_gram[kTimeFeatures][kTimeFeatures] = {};
  double time_returns[kTimeFeatures] = {};

  // What to predict in each state, less `time_weights` times the time features; false if singular.
  bool solve(double ridge, double* state_weights, double* time_weights) const {
    double matrix[kTimeFeatures * kTimeFeatures];
    for (int p = 0; p < kTimeFeatures; ++p) {
      time_weights[p] = time_returns[p];
      for (int q = 0; q < kTimeFeatures; ++q) matrix[p * kTimeFeatures + q] = time_gram[p][q];
    }
    const int64_t states = static_cast<int64_t>(counts.size());
    for (int64_t s = 0; s < states; ++s) {
      const double* z = &times[s * kTimeFeatures];
      const double inverse = 1 / (counts[s] + ridge / 2);
      for (int p = 0; p < kTimeFeatures; ++p) {
        time_weights[p] -= z[p] * inverse * returns[s];
        for (int q = p; q < kTimeFeatures; ++q) matrix[p * kTimeFeatures + q] -= z[p] * inverse * z[q];
      }
    }
    if (!cholesky_solve(matrix, ridge, time_weights, kTimeFeatures)) return false;
    bool finite = true;
    for (int64_t s = 0; s < states; ++s) {
      double rest = returns[s];
      for (int p = 0; p < kTimeFeatures; ++p) rest -= times[s * kTimeFeatures + p] * time_weights[p];
      state_weights[s] = rest / (counts[s] + ridge / 2);
      finite = finite && std::isfinite(state_weights[s]);
    }
    return finite;
  }
};

}  // namespace mamrl
