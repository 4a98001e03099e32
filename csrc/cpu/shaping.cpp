// Kernels of the differentiable games and of the loss that learns meta-values over them.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <tuple>

#include "common/check.h"
#include "common/iterated_2x2.h"
#include "common/logistic.h"

// one binary, the widest vectors that the machine has
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MAMRL_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MAMRL_CLONES
#endif

namespace mamrl {
namespace {

constexpr int kLanes = 16;
constexpr int64_t kMostQuantiles = 256;

// own action first: player 2 calls player 1's DC its own CD
constexpr int kOtherSide[5] = {0, 1, 3, 2, 4};

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
      lanes.q[s][w] = logits_2[b * 5 + kOtherSide[s]];
    }
  logistic(&lanes.p[0][0], 5 * kLanes);
  logistic(&lanes.q[0][0], 5 * kLanes);
  lanes.evaluate(payoffs, discount);
  for (int i = 0; i < 2; ++i) {
    for (int64_t w = 0; w < count; ++w) values[i * batch + first + w] = lanes.value[i][w];
    for (int j = 0; j < 2; ++j)
      for (int s = 0; s < 5; ++s) {
        const int column = j == 0 ? s : kOtherSide[s];
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

std::tuple<Tensor, Tensor> iterated_2x2(const Tensor& logits_1_, const Tensor& logits_2_, const Tensor& payoffs_,
                                        double discount) {
  const Tensor logits_1 = row_major(logits_1_), logits_2 = row_major(logits_2_), payoffs = row_major(payoffs_);
  check_floating("logits_1", logits_1);
  check_dtype("logits_2", logits_2, logits_1.scalar_type());
  check_dtype("payoffs", payoffs, logits_1.scalar_type());
  MAMRL_CHECK(logits_1.dim() == 2, "logits_1 must have the shape (B, 5)");
  const int64_t batch = logits_1.size(0);
  check_shape("logits_1", logits_1, {batch, 5});
  check_shape("logits_2", logits_2, {batch, 5});
  check_shape("payoffs", payoffs, {2, 4});
  Tensor values = torch::stable::new_empty(logits_1, {2, batch});
  Tensor slopes = torch::stable::new_empty(logits_1, {2, 2, batch, 5});
  dispatch_floating(logits_1, [&]<class T>() {
    const T *x = logits_1.const_data_ptr<T>(), *y = logits_2.const_data_ptr<T>(), *r = payoffs.const_data_ptr<T>();
    T *value = values.mutable_data_ptr<T>(), *slope = slopes.mutable_data_ptr<T>();
    const int64_t blocks = (batch + kLanes - 1) / kLanes;
    torch::stable::parallel_for(0, blocks, 64, [&](int64_t first, int64_t last) {
      iterated_2x2_range(x, y, r, T(discount), batch, first * kLanes, last * kLanes < batch ? last * kLanes : batch,
                         value, slope);
    });
  });
  return {values, slopes};
}

// One row: sum_i mean_j |tau_i - 1[u < 0]| huber(u), u = target_j - predicted_i, threshold 1, with both
// gradients.
template <class T>
MAMRL_INLINE T quantile_row(const T* __restrict predicted, const T* __restrict target, int64_t quantiles,
                            int64_t targets, T* __restrict grad_predicted, T* __restrict grad_target) {
  for (int64_t j = 0; j < targets; ++j) grad_target[j] = 0;
  const T scale = T(1) / targets;
  T total = 0;
  for (int64_t i = 0; i < quantiles; ++i) {
    const T level = (T(i) + T(0.5)) / quantiles, p = predicted[i];
    T loss[kMostQuantiles], pull[kMostQuantiles];
    for (int64_t j = 0; j < targets; ++j) {
      const T u = target[j] - p;
      const T weight = u < 0 ? T(1) - level : level;
      const T bounded = u < T(-1) ? T(-1) : (u > T(1) ? T(1) : u);
      loss[j] = weight * bounded * (u - T(0.5) * bounded);
      pull[j] = weight * bounded * scale;
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

std::tuple<Tensor, Tensor, Tensor> quantile_huber(const Tensor& predicted_, const Tensor& target_) {
  const Tensor predicted = row_major(predicted_), target = row_major(target_);
  check_floating("predicted", predicted);
  check_dtype("target", target, predicted.scalar_type());
  MAMRL_CHECK(predicted.dim() == 2 && target.dim() == 2 && predicted.size(0) == target.size(0),
              "predicted and target must have the shapes (R, Q) and (R, Q')");
  const int64_t rows = predicted.size(0), quantiles = predicted.size(1), targets = target.size(1);
  MAMRL_CHECK(quantiles > 0 && targets > 0 && targets <= kMostQuantiles, "there must be 1 to ", kMostQuantiles,
              " target quantiles");
  Tensor loss = torch::stable::new_empty(predicted, {rows});
  Tensor grad_predicted = torch::stable::empty_like(predicted), grad_target = torch::stable::empty_like(target);
  dispatch_floating(predicted, [&]<class T>() {
    const T *p = predicted.const_data_ptr<T>(), *t = target.const_data_ptr<T>();
    T *out = loss.mutable_data_ptr<T>(), *gp = grad_predicted.mutable_data_ptr<T>();
    T* gt = grad_target.mutable_data_ptr<T>();
    torch::stable::parallel_for(0, rows, 256, [&](int64_t begin, int64_t end) {
      quantile_rows(p, t, quantiles, targets, out, gp, gt, begin, end);
    });
  });
  return {loss, grad_predicted, grad_target};
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("iterated_2x2", TORCH_BOX(&mamrl::iterated_2x2));
  m.impl("quantile_huber", TORCH_BOX(&mamrl::quantile_huber));
}
