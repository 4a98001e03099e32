// The linear baseline's normal equations: small positive definite systems, in double.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/baseline.h"
#include "common/host_device.h"

namespace mamrl {

constexpr int kRidgeAttempts = 6;

MAMRL_FN bool is_finite(double x) { return x - x == 0; }

// A team of one; a CUDA block is a team of its threads, which `sync` waits for.
struct OneThread {
  static constexpr int64_t rank = 0, size = 1;
  MAMRL_METHOD void sync() const {}
};

// Solves (matrix + ridge * identity) x = right for a symmetric matrix (n, n) of which the upper triangle is read and
// overwritten; false where it is not numerically positive definite, or x not finite. `right` becomes x. Every member of
// the team calls it and gets the same answer.
template <class Team>
MAMRL_FN bool cholesky_solve(double* matrix, double ridge, double* right, int64_t n, const Team& team) {
  for (int64_t k = 0; k < n; ++k) {
    double* pivot_row = matrix + k * n;
    const double pivot = pivot_row[k] + ridge;
    if (!(pivot > 0) || !is_finite(pivot)) return false;
    const double scale = 1 / std::sqrt(pivot);
    team.sync();
    if (team.rank == 0) {
      pivot_row[k] = 1 / scale;
      right[k] *= scale;
    }
    for (int64_t j = k + 1 + team.rank; j < n; j += team.size) pivot_row[j] *= scale;
    team.sync();
    for (int64_t i = k + 1 + team.rank; i < n; i += team.size) {
      const double factor = pivot_row[i];
      double* __restrict__ row = matrix + i * n;
      for (int64_t j = i; j < n; ++j) row[j] -= factor * pivot_row[j];
      right[i] -= factor * right[k];
    }
    team.sync();
  }
  if (team.rank == 0) {
    for (int64_t k = n - 1; k >= 0; --k) {
      double sum = right[k];
      for (int64_t j = k + 1; j < n; ++j) sum -= matrix[k * n + j] * right[j];
      right[k] = sum / matrix[k * n + k];
    }
  }
  team.sync();
  bool finite = true;
  for (int64_t k = 0; k < n; ++k) finite = finite && is_finite(right[k]);
  return finite;
}

// Normal equations of one chain where the observation is one of S states: `counts` (S), sums of returns (S) and sums of
// time features (S, 4) by state, and the same over all samples. One-hot features are orthogonal, so elimination leaves
// a system of four. A one-hot and its square are the same feature: the ridge on their equal halves is half a ridge on
// their sum.
struct StateSums {
  int64_t num_states;
  const double *counts, *returns, *times;
  double time_gram[kTimeFeatures][kTimeFeatures];
  double time_returns[kTimeFeatures];

  // What to predict in each state, less `time_weights` times the time features; false if singular.
  MAMRL_METHOD bool solve(double ridge, double* state_weights, double* time_weights) const {
    double matrix[kTimeFeatures * kTimeFeatures];
    for (int p = 0; p < kTimeFeatures; ++p) {
      time_weights[p] = time_returns[p];
      for (int q = 0; q < kTimeFeatures; ++q) matrix[p * kTimeFeatures + q] = time_gram[p][q];
    }
    for (int64_t s = 0; s < num_states; ++s) {
      const double* z = &times[s * kTimeFeatures];
      const double inverse = 1 / (counts[s] + ridge / 2);
      for (int p = 0; p < kTimeFeatures; ++p) {
        time_weights[p] -= z[p] * inverse * returns[s];
        for (int q = p; q < kTimeFeatures; ++q) matrix[p * kTimeFeatures + q] -= z[p] * inverse * z[q];
      }
    }
    if (!cholesky_solve(matrix, ridge, time_weights, kTimeFeatures, OneThread())) return false;
    bool finite = true;
    for (int64_t s = 0; s < num_states; ++s) {
      double rest = returns[s];
      for (int p = 0; p < kTimeFeatures; ++p) rest -= times[s * kTimeFeatures + p] * time_weights[p];
      state_weights[s] = rest / (counts[s] + ridge / 2);
      finite = finite && is_finite(state_weights[s]);
    }
    return finite;
  }

  // Adds ridge until the system can be solved; false where it cannot.
  MAMRL_METHOD bool solve_with_enough_ridge(double ridge, double* state_weights, double* time_weights) const {
    int attempt = 0;
    for (; attempt < kRidgeAttempts && !solve(ridge, state_weights, time_weights); ++attempt) ridge *= 10;
    return attempt < kRidgeAttempts;
  }
};

}  // namespace mamrl
