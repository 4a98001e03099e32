// The linear baseline of Duan et al. 2016: least squares on [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1], one fit a
// chain. Features are never materialised. The normal equations are built in double, or where that is as good in
// float32 by blocks, and solved in double.
#include "ops/baseline.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "common/columns.h"
#include "common/normal_equations.h"
#include "cpu/columns.h"
#include "cpu/device.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"
#include "direct.h"

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

// One chain of which the observation is a vector: sums over its samples, and the system made of them.
template <class T>
class DenseFit {
 public:
  DenseFit(const BaselineChain<T>& op, double ridge)
      : op_(op),
        ridge_(ridge),
        features_(2 * op.size),
        order_(features_ + kTimeFeatures),
        gram_(op.width() * op.width()),
        times_((kTimeFeatures + 1) * op.width()),
        matrix_(order_ * order_),
        right_(order_) {
    for (int64_t t = 0; t < op.horizon; ++t) {
      double z[kTimeFeatures];
      time_features(t, z);
      for (int p = 0; p < kTimeFeatures; ++p)
        for (int q = 0; q < kTimeFeatures; ++q) time_gram_[p][q] += z[p] * z[q] * double(op.trajectories);
    }
  }

  // false where the system stays singular
  bool run() {
    const Scratch memory(op_.scratch() * static_cast<int64_t>(sizeof(double)));
    bool solved = false;
    if (std::is_same_v<T, float> && op_.size) {
      sum(memory, false);
      solved = solve(ridge_) && well_conditioned();
    }
    if (!solved) {
      sum(memory, true);
      double ridge = ridge_;
      for (int attempt = 0; attempt < kRidgeAttempts && !solved; ++attempt, ridge *= 10) solved = solve(ridge);
    }
    if (solved) predict(memory);
    return solved;
  }

 private:
  void sum(const Scratch& memory, bool in_double) {
    op_.in_double = in_double;
    // the padding is added up too, if only to be ignored
    std::fill_n(reinterpret_cast<double*>(memory.data()), op_.scratch(), 0.0);
    std::fill(gram_.begin(), gram_.end(), 0.0);
    std::fill(times_.begin(), times_.end(), 0.0);
    simd_kernels<T>().baseline_sums(op_, reinterpret_cast<double*>(memory.data()), gram_.data(), times_.data());
  }

  bool solve(double ridge) {
    const int64_t width = op_.width();
    for (int64_t i = 0; i < features_; ++i) {
      for (int64_t j = i; j < features_; ++j) matrix_[i * order_ + j] = gram_[j * width + i];
      for (int p = 0; p < kTimeFeatures; ++p) matrix_[i * order_ + features_ + p] = times_[p * width + i];
      right_[i] = gram_[features_ * width + i];
    }
    for (int p = 0; p < kTimeFeatures; ++p) {
      for (int q = p; q < kTimeFeatures; ++q) matrix_[(features_ + p) * order_ + features_ + q] = time_gram_[p][q];
      right_[features_ + p] = times_[p * width + features_];
    }
    return cholesky_solve(matrix_.data(), ridge, right_.data(), order_, OneThread());
  }

  // After solve(): whether sums in float32, whose error is about 2e-8 of a feature's square, are enough. A pivot is
  // what earlier features leave of a feature's square; where they leave a hundredth, predictions keep an error of 1e-5
  // of their size (docs/performance.md). The time features alone leave little of each other, but their sums are exact.
  bool well_conditioned() const {
    double alone[kTimeFeatures * kTimeFeatures], unused[kTimeFeatures] = {};
    std::copy_n(&time_gram_[0][0], kTimeFeatures * kTimeFeatures, alone);
    if (!cholesky_solve(alone, ridge_, unused, kTimeFeatures, OneThread())) return false;
    const auto leaves = [&](int64_t i, double of) {
      const double root = matrix_[i * order_ + i];
      return root * root >= kLeastShare * of;
    };
    for (int64_t i = 0; i < features_; ++i)
      if (!leaves(i, gram_[i * op_.width() + i])) return false;
    for (int p = 0; p < kTimeFeatures; ++p) {
      const double root = alone[p * kTimeFeatures + p];
      if (!leaves(features_ + p, root * root)) return false;
    }
    return true;
  }

  void predict(const Scratch& memory) const {
    const int64_t padded = op_.padded();
    std::vector<double> weights(2 * padded + kTimeFeatures, 0.0);
    for (int64_t o = 0; o < op_.size; ++o) {
      weights[o] = right_[o];
      weights[padded + o] = right_[op_.size + o];
    }
    for (int p = 0; p < kTimeFeatures; ++p) weights[2 * padded + p] = right_[features_ + p];
    simd_kernels<T>().baseline_predict(op_, weights.data(), reinterpret_cast<double*>(memory.data()));
  }

  static constexpr double kLeastShare = 0.01;
  BaselineChain<T> op_;
  double ridge_;
  int64_t features_, order_;
  std::vector<double> gram_, times_, matrix_, right_;
  double time_gram_[kTimeFeatures][kTimeFeatures] = {};
};

struct Device : Cpu {
  using Cpu::Cpu;

  template <class T>
  void run(const LinearBaseline<T>& op, const Tensor&) const {
    std::vector<char> fitted(op.chains, 0);
    const int64_t work = op.horizon * op.trajectories * (1 + op.size * op.size);
    for_column_blocks(work, op.chains, 1, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin; m < end; ++m) {
        fitted[m] = op.num_states ? fit_states(op, m)
                                  : DenseFit<T>({op.observations, op.returns, op.predictions, op.horizon, op.chains,
                                                 op.trajectories, op.size, m, true},
                                                op.ridge)
                                        .run();
      }
    });
    for (int64_t m = 0; m < op.chains; ++m)
      MAMRL_CHECK(fitted[m], "the normal equations of chain ", m, " stay singular with a ridge of up to 100000 times ",
                  op.ridge, "; do the observations or returns hold NaN or inf?");
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) { MAMRL_CPU_OP(m, linear_baseline, mamrl::linear_baseline<mamrl::Device>); }
