// The linear baseline of Duan et al. 2016: least squares on [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1], one fit a
// chain. Features are never materialised, and the normal equations are built and solved in double.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "common/check.h"
#include "cpu/columns.h"
#include "cpu/indices.h"
#include "cpu/normal_equations.h"
#include "cpu/simd.h"

namespace mamrl {
namespace {

struct Shape {
  int64_t horizon, chains, trajectories;
};

// Neighbouring samples often share a state: sums in as many copies need not wait for each other.
constexpr int64_t kCopies = 4;
// how many samples, and the sum of their returns, in one register
typedef double CountAndReturns __attribute__((vector_size(16)));

template <class T>
StateSums sum_states(const int64_t* states, const T* returns, Shape shape, int64_t chain, int64_t num_states) {
  StateSums sums(num_states);
  std::vector<CountAndReturns> row_sums(kCopies * num_states);
  for (int64_t t = 0; t < shape.horizon; ++t) {
    const int64_t row = (t * shape.chains + chain) * shape.trajectories;
    const auto add = [&](int64_t k, int64_t copy) {
      row_sums[copy * num_states + states[row + k]] += CountAndReturns{1, double(returns[row + k])};
    };
    int64_t k = 0;
    for (; k + kCopies <= shape.trajectories; k += kCopies)
      for (int64_t copy = 0; copy < kCopies; ++copy) add(k + copy, copy);
    for (; k < shape.trajectories; ++k) add(k, 0);

    double z[kTimeFeatures], total = 0;
    time_features(t, z);
    for (int64_t s = 0; s < num_states; ++s) {
      CountAndReturns sum = {};
      for (int64_t copy = 0; copy < kCopies; ++copy) {
        sum += row_sums[copy * num_states + s];
        row_sums[copy * num_states + s] = CountAndReturns{};
      }
      sums.counts[s] += sum[0];
      sums.returns[s] += sum[1];
      total += sum[1];
      for (int p = 0; p < kTimeFeatures; ++p) sums.times[s * kTimeFeatures + p] += sum[0] * z[p];
    }
    for (int p = 0; p < kTimeFeatures; ++p) {
      sums.time_returns[p] += z[p] * total;
      for (int q = 0; q < kTimeFeatures; ++q) sums.time_gram[p][q] += z[p] * z[q] * double(shape.trajectories);
    }
  }
  return sums;
}

// Fits and predicts one chain of which the observation is a state; false where the system stays singular.
template <class T>
bool fit_states(const int64_t* states, const T* returns, T* predictions, Shape shape, int64_t chain, int64_t num_states,
                double ridge) {
  const StateSums sums = sum_states(states, returns, shape, chain, num_states);
  std::vector<double> weights(num_states);
  double time_weights[kTimeFeatures];
  int attempt = 0;
  for (; attempt < kRidgeAttempts && !sums.solve(ridge, weights.data(), time_weights); ++attempt) ridge *= 10;
  if (attempt == kRidgeAttempts) return false;

  std::vector<T> of_state(num_states);
  for (int64_t t = 0; t < shape.horizon; ++t) {
    const int64_t row = (t * shape.chains + chain) * shape.trajectories;
    double z[kTimeFeatures], at_time = 0;
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p) at_time += z[p] * time_weights[p];
    for (int64_t s = 0; s < num_states; ++s) of_state[s] = T(weights[s] + at_time);
    for (int64_t i = row; i < row + shape.trajectories; ++i) predictions[i] = of_state[states[i]];
  }
  return true;
}

// The same where the observation is a vector.
template <class T>
bool fit_vectors(const BaselineChain<T>& op, double ridge) {
  const int64_t features = 2 * op.size, width = op.width(), order = features + kTimeFeatures;
  std::vector<double> memory(op.scratch()), gram(width * width), times(kTimeFeatures * width);
  simd_kernels<T>().baseline_sums(op, memory.data(), gram.data(), times.data());
  double time_gram[kTimeFeatures][kTimeFeatures] = {};
  for (int64_t t = 0; t < op.horizon; ++t) {
    double z[kTimeFeatures];
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p)
      for (int q = 0; q < kTimeFeatures; ++q) time_gram[p][q] += z[p] * z[q] * double(op.trajectories);
  }

  std::vector<double> matrix(order * order), right(order);
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
    solved = cholesky_solve(matrix.data(), ridge, right.data(), order);
  }
  if (!solved) return false;

  const int64_t padded = (op.size + 7) / 8 * 8;
  std::vector<double> weights(2 * padded + kTimeFeatures, 0.0);
  for (int64_t o = 0; o < op.size; ++o) {
    weights[o] = right[o];
    weights[padded + o] = right[op.size + o];
  }
  for (int p = 0; p < kTimeFeatures; ++p) weights[2 * padded + p] = right[features + p];
  simd_kernels<T>().baseline_predict(op, weights.data());
  return true;
}

Tensor linear_baseline(const Tensor& observations_, const Tensor& returns_, int64_t num_states, double ridge) {
  const Tensor observations = row_major(observations_), returns = row_major(returns_);
  const int64_t dims = returns.dim();
  check_floating("returns", returns);
  MAMRL_CHECK(dims == 2 || dims == 3, "returns has shape ", shape_text(returns), ", expected (T, M, K) or (T, K)");
  MAMRL_CHECK(ridge > 0, "ridge is ", ridge, ", expected a positive number");
  const Shape shape{returns.size(0), dims == 3 ? returns.size(1) : 1, returns.size(dims - 1)};
  const bool indexed = observations.scalar_type() == ScalarType::Long;
  int64_t size = 0;
  if (indexed) {
    MAMRL_CHECK(num_states >= 1, "num_states is ", num_states, ", expected at least 1");
    check_same_shape("observations", observations, "returns", returns);
    check_indices("observations", observations, num_states);
  } else {
    check_dtype("observations", observations, returns.scalar_type(), "returns");
    bool same = observations.dim() == dims + 1;
    for (int64_t i = 0; i < dims && same; ++i) same = observations.size(i) == returns.size(i);
    MAMRL_CHECK(same, "observations has shape ", shape_text(observations), ", expected one dimension more than the ",
                shape_text(returns), " of returns");
    size = observations.size(dims);
  }
  Tensor predictions = empty_row_major(returns);
  if (returns.numel() == 0) return predictions;
  std::vector<char> fitted(shape.chains, 0);
  dispatch_floating(returns, [&]<class T>() {
    const T* y = returns.const_data_ptr<T>();
    T* out = predictions.mutable_data_ptr<T>();
    const int64_t work = shape.horizon * shape.trajectories * (1 + size * size);
    for_column_blocks(work, shape.chains, 1, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin; m < end; ++m) {
        fitted[m] = indexed ? fit_states<T>(observations.const_data_ptr<int64_t>(), y, out, shape, m, num_states, ridge)
                            : fit_vectors<T>({observations.const_data_ptr<T>(), y, out, shape.horizon, shape.chains,
                                              shape.trajectories, size, m},
                                             ridge);
      }
    });
  });
  for (int64_t m = 0; m < shape.chains; ++m)
    MAMRL_CHECK(fitted[m], "the normal equations of chain ", m, " stay singular with a ridge of up to 100000 times ",
                ridge, "; do the observations or returns hold NaN or inf?");
  return predictions;
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) { m.impl("linear_baseline", TORCH_BOX(&mamrl::linear_baseline)); }
