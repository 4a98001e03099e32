// The linear baseline of Duan et al. 2016: least squares on [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1], one fit a
// chain. Features are never materialised, and the normal equations are built and solved in double.
#include "ops/baseline.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "common/columns.h"
#include "common/normal_equations.h"
#include "cpu/columns.h"
#include "cpu/device.h"
#include "cpu/simd.h"

namespace mamrl {
namespace {

// Neighbouring samples often share a state: sums in as many copies need not wait for each other.
constexpr int64_t kCopies = 4;
// how many samples, and the sum of their returns, in one register
typedef double CountAndReturns __attribute__((vector_size(16)));

template <class T>
void sum_states(const LinearBaseline<T>& op, int64_t chain, double* counts, double* returns, double* times,
                StateSums& sums) {
  const int64_t num_states = op.num_states;
  std::vector<CountAndReturns> row_sums(kCopies * num_states);
  for (int64_t t = 0; t < op.horizon; ++t) {
    const int64_t row = (t * op.chains + chain) * op.trajectories;
    const auto add = [&](int64_t k, int64_t copy) {
      row_sums[copy * num_states + op.states[row + k]] += CountAndReturns{1, double(op.returns[row + k])};
    };
    int64_t k = 0;
    for (; k + kCopies <= op.trajectories; k += kCopies)
      for (int64_t copy = 0; copy < kCopies; ++copy) add(k + copy, copy);
    for (; k < op.trajectories; ++k) add(k, 0);

    double z[kTimeFeatures], total = 0;
    time_features(t, z);
    for (int64_t s = 0; s < num_states; ++s) {
      CountAndReturns sum = {};
      for (int64_t copy = 0; copy < kCopies; ++copy) {
        sum += row_sums[copy * num_states + s];
        row_sums[copy * num_states + s] = CountAndReturns{};
      }
      counts[s] += sum[0];
      returns[s] += sum[1];
      total += sum[1];
      for (int p = 0; p < kTimeFeatures; ++p) times[s * kTimeFeatures + p] += sum[0] * z[p];
    }
    for (int p = 0; p < kTimeFeatures; ++p) {
      sums.time_returns[p] += z[p] * total;
      for (int q = 0; q < kTimeFeatures; ++q) sums.time_gram[p][q] += z[p] * z[q] * double(op.trajectories);
    }
  }
}

// Fits and predicts one chain of which the observation is a state; false where the system stays singular.
template <class T>
bool fit_states(const LinearBaseline<T>& op, int64_t chain) {
  const int64_t num_states = op.num_states;
  std::vector<double> counts(num_states), returns(num_states), times(num_states * kTimeFeatures);
  StateSums sums = {num_states, counts.data(), returns.data(), times.data(), {}, {}};
  sum_states(op, chain, counts.data(), returns.data(), times.data(), sums);
  std::vector<double> weights(num_states);
  double time_weights[kTimeFeatures];
  if (!sums.solve_with_enough_ridge(op.ridge, weights.data(), time_weights)) return false;

  std::vector<T> of_state(num_states);
  for (int64_t t = 0; t < op.horizon; ++t) {
    const int64_t row = (t * op.chains + chain) * op.trajectories;
    double z[kTimeFeatures], at_time = 0;
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p) at_time += z[p] * time_weights[p];
    for (int64_t s = 0; s < num_states; ++s) of_state[s] = T(weights[s] + at_time);
    for (int64_t i = row; i < row + op.trajectories; ++i) op.predictions[i] = of_state[op.states[i]];
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
    solved = cholesky_solve(matrix.data(), ridge, right.data(), order, OneThread());
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

struct Device : Cpu {
  using Cpu::Cpu;

  template <class T>
  void run(const LinearBaseline<T>& op, const Tensor&) const {
    std::vector<char> fitted(op.chains, 0);
    const int64_t work = op.horizon * op.trajectories * (1 + op.size * op.size);
    for_column_blocks(work, op.chains, 1, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin; m < end; ++m) {
        fitted[m] = op.num_states ? fit_states(op, m)
                                  : fit_vectors<T>({op.observations, op.returns, op.predictions, op.horizon, op.chains,
                                                    op.trajectories, op.size, m},
                                                   op.ridge);
      }
    });
    for (int64_t m = 0; m < op.chains; ++m)
      MAMRL_CHECK(fitted[m], "the normal equations of chain ", m, " stay singular with a ridge of up to 100000 times ",
                  op.ridge, "; do the observations or returns hold NaN or inf?");
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("linear_baseline", TORCH_BOX(&mamrl::linear_baseline<mamrl::Device>));
}
