// Kernels of the differentiable games and of the loss that learns meta-values over them.
#include "ops/shaping.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "common/iterated_2x2.h"
#include "common/logistic.h"
#include "common/quantile_huber.h"
#include "cpu/device.h"
#include "cpu/parallel.h"
#include "direct.h"

// one binary, the widest vectors that the machine has
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MAMRL_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MAMRL_CLONES
#endif

namespace mamrl {
namespace {

constexpr int kLanes = 16;

template <class T>
inline __attribute__((always_inline)) void iterated_2x2_block(const T* logits_1, const T* logits_2, const T* payoffs,
                                                              T discount, int64_t batch, int64_t first, T* values,
                                                              T* slopes) {
  Iterated2x2Lanes<T, kLanes> lanes;
  const int64_t count = batch - first < kLanes ? batch - first : kLanes;
  for (int s = 0; s < 5; ++s)
    for (int w = 0; w < kLanes; ++w) {
      // spare lanes repeat the last pair
      const int64_t b = first + (w < count ? w : count - 1);
      lanes.p[s][w] = logits_1[b * 5 + s];
      lanes.q[s][w] = logits_2[b * 5 + other_side(s)];
    }
  logistic(&lanes.p[0][0], 5 * kLanes);
  logistic(&lanes.q[0][0], 5 * kLanes);
  lanes.evaluate(payoffs, discount);
  for (int i = 0; i < 2; ++i) {
    for (int64_t w = 0; w < count; ++w) values[i * batch + first + w] = lanes.value[i][w];
    for (int j = 0; j < 2; ++j)
      for (int s = 0; s < 5; ++s) {
        const int column = j == 0 ? s : other_side(s);
        for (int64_t w = 0; w < count; ++w)
          slopes[((i * 2 + j) * batch + first + w) * 5 + column] = lanes.slope[i][j][s][w];
      }
  }
}

MAMRL_CLONES void iterated_2x2_range(const float* logits_1, const float* logits_2, const float* payoffs, float discount,
                                     int64_t batch, int64_t begin, int64_t end, float* values, float* slopes) {
  for (int64_t b = begin; b < end; b += kLanes)
    iterated_2x2_block<float>(logits_1, logits_2, payoffs, discount, batch, b, values, slopes);
}

MAMRL_CLONES void iterated_2x2_range(const double* logits_1, const double* logits_2, const double* payoffs,
                                     double discount, int64_t batch, int64_t begin, int64_t end, double* values,
                                     double* slopes) {
  for (int64_t b = begin; b < end; b += kLanes)
    iterated_2x2_block<double>(logits_1, logits_2, payoffs, discount, batch, b, values, slopes);
}

// One row: sum_i mean_j |tau_i - 1[u < 0]| huber(u), u = target_j - predicted_i, threshold 1, with both
// gradients.
template <class T>
MAMRL_FN T quantile_row(const T* __restrict predicted, const T* __restrict target, int64_t quantiles, int64_t targets,
                        T* __restrict grad_predicted, T* __restrict grad_target) {
  for (int64_t j = 0; j < targets; ++j) grad_target[j] = 0;
  const T scale = T(1) / targets;
  T total = 0;
  for (int64_t i = 0; i < quantiles; ++i) {
    const T level = quantile_level(T(i), T(quantiles)), p = predicted[i];
    T loss[kMostQuantiles], pull[kMostQuantiles];
    for (int64_t j = 0; j < targets; ++j) {
      T slope;
      quantile_huber_pair(target[j] - p, level, loss[j], slope);
      pull[j] = slope * scale;
      grad_target[j] += pull[j];
    }
    T pulled = 0;
    for (int64_t j = 0; j < targets; ++j) total += loss[j];
    for (int64_t j = 0; j < targets; ++j) pulled += pull[j];
    grad_predicted[i] = -pulled;
  }
  return total * scale;
}

MAMRL_CLONES void quantile_rows(const float* p, const float* t, int64_t q, int64_t r, float* loss, float* grad_p,
                                float* grad_t, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row)
    loss[row] = quantile_row<float>(p + row * q, t + row * r, q, r, grad_p + row * q, grad_t + row * r);
}

MAMRL_CLONES void quantile_rows(const double* p, const double* t, int64_t q, int64_t r, double* loss, double* grad_p,
                                double* grad_t, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row)
    loss[row] = quantile_row<double>(p + row * q, t + row * r, q, r, grad_p + row * q, grad_t + row * r);
}

struct Device : Cpu {
  using Cpu::Cpu;

  template <class T>
  void run(const Iterated2x2<T>& op) const {
    const int64_t blocks = (op.batch + kLanes - 1) / kLanes;
    parallel_for(0, blocks, 64, [&](int64_t first, int64_t last) {
      iterated_2x2_range(op.logits_1, op.logits_2, op.payoffs, op.discount, op.batch, first * kLanes,
                         last * kLanes < op.batch ? last * kLanes : op.batch, op.values, op.slopes);
    });
  }

  template <class T>
  void run(const QuantileHuber<T>& op) const {
    parallel_for(0, op.rows, 256, [&](int64_t begin, int64_t end) {
      quantile_rows(op.predicted, op.target, op.quantiles, op.targets, op.loss, op.grad_predicted, op.grad_target,
                    begin, end);
    });
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  MAMRL_CPU_OP(m, iterated_2x2, mamrl::iterated_2x2<mamrl::Device>);
  MAMRL_CPU_OP(m, quantile_huber, mamrl::quantile_huber<mamrl::Device>);
}
