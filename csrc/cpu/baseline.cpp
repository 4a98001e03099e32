// The linear baseline of Duan et al. 2016: least squares on [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1], one fit a
// chain. Features are never materialised, and the normal equations are built and solved in double.
#include "common/baseline.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "common/check.h"
#include "cpu/columns.h"
#include "cpu/indices.h"

namespace mamrl {
namespace {

struct Shape {
  int64_t horizon, chains, trajectories;
};

// Fits and predicts one chain of which the observation is a state; false where the system stays singular.
template <class T>
bool fit_states(const int64_t* states, const T* returns, T* predictions, Shape shape, int64_t chain, int64_t num_states,
                double ridge) {
  StateSums sums(num_states);
  std::vector<double> row_counts(num_states), row_returns(num_states);
  for (int64_t t = 0; t < shape.horizon; ++t) {
    const int64_t row = (t * shape.chains + chain) * shape.trajectories;
    std::fill(row_counts.begin(), row_counts.end(), 0.0);
    double total = 0;
    for (int64_t i = row; i < row + shape.trajectories; ++i) {
      row_counts[states[i]] += 1;
      sums.returns[states[i]] += double(returns[i]);
      total += double(returns[i]);
    }
    double z[kTimeFeatures];
    time_features(t, z);
    for (int64_t s = 0; s < num_states; ++s) {
      sums.counts[s] += row_counts[s];
      for (int p = 0; p < kTimeFeatures; ++p) sums.times[s * kTimeFeatures + p] += row_counts[s] * z[p];
    }
    for (int p = 0; p < kTimeFeatures; ++p) {
      sums.time_returns[p] += z[p] * total;
      for (int q = 0; q < kTimeFeatures; ++q) sums.time_gram[p][q] += z[p] * z[q] * double(shape.trajectories);
    }
  }

  std::vector<double> weights(num_states);
  double time_weights[kTimeFeatures];
  int attempt = 0;
  for (; attempt < kRidgeAttempts && !sums.solve(ridge, weights.data(), time_weights); ++attempt) ridge *= 10;
  if (attempt == kRidgeAttempts) return false;

  for (int64_t t = 0; t < shape.horizon; ++t) {
    const int64_t row = (t * shape.chains + chain) * shape.trajectories;
    double z[kTimeFeatures], at_time = 0;
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p) at_time += z[p] * time_weights[p];
    for (int64_t i = row; i < row + shape.trajectories; ++i) predictions[i] = T(weights[states[i]] + at_time);
  }
  return true;
}

// Samples whose features are expanded at a time: they and the Gram matrix of 17 observations stay in L1.
constexpr int64_t kSamples = 64;
constexpr int64_t kLanes = 8;

// gram += X^T X for `samples` rows of X (samples, width); only blocks of lanes that reach below the diagonal.
inline void add_gram(const double* __restrict__ x, int64_t samples, int64_t width, int64_t used,
                     double* __restrict__ gram) {
  for (int64_t i = 0; i < used; ++i) {
    for (int64_t j = 0; j <= i; j += kLanes) {
      double sums[kLanes] = {};
      for (int64_t n = 0; n < samples; ++n)
        for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += x[n * width + i] * x[n * width + j + lane];
      for (int64_t lane = 0; lane < kLanes; ++lane) gram[i * width + j + lane] += sums[lane];
    }
  }
}

template <class T>
bool fit_dense(const T* observations, const T* returns, T* predictions, Shape shape, int64_t chain, int64_t size,
               double ridge) {
  // a sample's row: obs, obs^2, return, padding
  const int64_t features = 2 * size, used = features + 1, width = (used + kLanes - 1) / kLanes * kLanes;
  const int64_t order = features + kTimeFeatures;
  std::vector<double> x(kSamples * width), gram(width * width), row_sums(width), times(width * kTimeFeatures);
  double time_gram[kTimeFeatures][kTimeFeatures] = {};
  int64_t filled = 0;
  for (int64_t t = 0; t < shape.horizon; ++t) {
    const int64_t row = (t * shape.chains + chain) * shape.trajectories;
    std::fill(row_sums.begin(), row_sums.end(), 0.0);
    for (int64_t i = row; i < row + shape.trajectories; ++i) {
      double* sample = &x[filled * width];
      for (int64_t o = 0; o < size; ++o) {
        const double value = double(observations[i * size + o]);
        sample[o] = value;
        sample[size + o] = value * value;
      }
      sample[features] = double(returns[i]);
      for (int64_t j = 0; j < used; ++j) row_sums[j] += sample[j];
      if (++filled == kSamples) {
        add_gram(x.data(), filled, width, used, gram.data());
        filled = 0;
      }
    }
    double z[kTimeFeatures];
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p) {
      for (int64_t j = 0; j < used; ++j) times[p * width + j] += z[p] * row_sums[j];
      for (int q = 0; q < kTimeFeatures; ++q) time_gram[p][q] += z[p] * z[q] * double(shape.trajectories);
    }
  }
  add_gram(x.data(), filled, width, used, gram.data());

  std::vector<double> matrix(order * order), right(order), diagonal(order);
  bool solved = false;
  for (int attempt = 0; attempt < kRidgeAttempts && !solved; ++attempt, ridge *= 10) {
    for (int64_t i = 0; i < features; ++i) {
      for (int64_t j = i; j < features; ++j) matrix[i * order + j] = gram[j * width + i];
      for (int p = 0; p < kTimeFeatures; ++p) matrix[i * order + features + p] = times[p * width + i];
      right[i] = gram[features * width + i];
    }
    for (int p = 0; p < kTimeFeatures; ++p) {
      for (int q = p; q < kTimeFeatures; ++q) matrix[(features + p) * order + features + q] = time_gram[p][q];
      right[features + p] = times[p * width + features];
    }
    std::fill(diagonal.begin(), diagonal.end(), ridge);
    solved = cholesky_solve(matrix.data(), diagonal.data(), right.data(), order);
  }
  if (!solved) return false;

  for (int64_t t = 0; t < shape.horizon; ++t) {
    const int64_t row = (t * shape.chains + chain) * shape.trajectories;
    double z[kTimeFeatures], at_time = 0;
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p) at_time += z[p] * right[features + p];
    for (int64_t i = row; i < row + shape.trajectories; ++i) {
      double sum = at_time;
      for (int64_t o = 0; o < size; ++o) {
        const double value = double(observations[i * size + o]);
        sum += value * (right[o] + value * right[size + o]);
      }
      predictions[i] = T(sum);
    }
  }
  return true;
}

Tensor linear_baseline(const Tensor& observations_, const Tensor& returns_, int64_t num_states, double ridge) {
  const Tensor observations = row_major(observations_), returns = row_major(returns_);
  check_floating("returns", returns);
  MAMRL_CHECK(returns.dim() == 3, "returns has shape ", shape_text(returns), ", expected (T, M, K)");
  MAMRL_CHECK(ridge > 0, "ridge is ", std::to_string(ridge), ", expected a positive number");
  const Shape shape{returns.size(0), returns.size(1), returns.size(2)};
  const bool indexed = observations.scalar_type() == ScalarType::Long;
  if (indexed) {
    MAMRL_CHECK(num_states >= 1, "num_states is ", std::to_string(num_states), ", expected at least 1");
    check_same_shape("observations", observations, returns);
    check_indices("observations", observations, num_states);
  } else {
    check_dtype("observations", observations, returns.scalar_type());
    MAMRL_CHECK(observations.dim() == 4, "observations has shape ", shape_text(observations),
                ", expected (T, M, K, O)");
    check_shape("observations", observations, {shape.horizon, shape.chains, shape.trajectories, observations.size(3)});
  }
  Tensor predictions = torch::stable::empty_like(returns);
  if (returns.numel() == 0) return predictions;
  const int64_t samples = shape.horizon * shape.trajectories;
  std::vector<char> fitted(shape.chains, 0);
  dispatch_floating(returns, [&]<class T>() {
    const T* y = returns.const_data_ptr<T>();
    T* out = predictions.mutable_data_ptr<T>();
    const int64_t size = indexed ? 0 : observations.size(3);
    for_column_blocks(samples * (1 + size * size), shape.chains, 1, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin; m < end; ++m)
        fitted[m] = indexed ? fit_states<T>(observations.const_data_ptr<int64_t>(), y, out, shape, m, num_states, ridge)
                            : fit_dense<T>(observations.const_data_ptr<T>(), y, out, shape, m, size, ridge);
    });
  });
  for (int64_t m = 0; m < shape.chains; ++m)
    MAMRL_CHECK(fitted[m], "linear_baseline: the normal equations of chain ", std::to_string(m),
                " stay singular with a ridge of 100000 times ", std::to_string(ridge),
                "; do the observations or returns hold NaN or inf?");
  return predictions;
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) { m.impl("linear_baseline", TORCH_BOX(&mamrl::linear_baseline)); }
