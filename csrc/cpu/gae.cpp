// Generalized advantages: a recursion backwards over time, vectorised over the trailing batch, and its transpose.
#include "common/gae.h"

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/check.h"
#include "cpu/columns.h"
#include "cpu/ends.h"

namespace mamrl {
namespace {

template <class T>
void gae_columns(const T* __restrict__ rewards, const T* __restrict__ values, const T* __restrict__ next_values,
                 Ends ends, T* __restrict__ advantages, int64_t horizon, int64_t batch, int64_t begin, int64_t end,
                 T discount, T discount_lambda) {
  for (int64_t t = horizon - 1; t >= 0; --t) {
    const int64_t row = t * batch;
    const T* carried = t + 1 < horizon ? advantages + row + batch : nullptr;
    for (int64_t b = begin; b < end; ++b) {
      const int64_t i = row + b;
      advantages[i] = gae_step<T>(rewards[i], values[i], next_values[i], carried ? carried[b] : T(0),
                                  ends.terminated(i), ends.truncated(i), discount, discount_lambda);
    }
  }
}

// The two layouts of gae_backward: with `separate` next_values have a gradient of their own, else row t + 1 of
// grad_values takes it.
template <class T>
void gae_backward_columns(const T* __restrict__ grad, Ends ends, T* __restrict__ grad_rewards,
                          T* __restrict__ grad_values, T* __restrict__ grad_next, bool separate, int64_t horizon,
                          int64_t batch, int64_t begin, int64_t end, T discount, T discount_lambda) {
  for (int64_t b = begin; b < end && !separate; ++b) grad_values[b] = T(0);
  for (int64_t t = 0; t < horizon; ++t) {
    for (int64_t i = t * batch + begin; i < t * batch + end; ++i) {
      const int64_t before = i - batch;
      const T trace =
          t ? gae_trace_step<T>(grad[i], grad_rewards[before], ends.ended(before), discount_lambda) : grad[i];
      const T bootstrapped = ends.terminated(i) ? T(0) : discount * trace;
      grad_rewards[i] = trace;
      if (separate) {
        grad_values[i] = -trace;
        grad_next[i] = bootstrapped;
      } else {
        grad_values[i] -= trace;
        grad_values[i + batch] = bootstrapped;
      }
    }
  }
}

Tensor gae(const Tensor& rewards_, const Tensor& values_, const std::optional<Tensor>& next_values_,
           const std::optional<Tensor>& terminations_, const std::optional<Tensor>& truncations_, double discount,
           double gae_lambda) {
  const Tensor rewards = row_major(rewards_), values = row_major(values_);
  const auto next_values = row_major(next_values_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  check_floating("rewards", rewards);
  MAMRL_CHECK(rewards.dim() >= 1, "rewards must have time as its first dimension");
  check_dtype("values", values, rewards.scalar_type());
  const int64_t horizon = rewards.size(0);
  MAMRL_CHECK(same_shape(values, rewards, 1) && values.size(0) == horizon + (next_values ? 0 : 1), "values has shape ",
              shape_text(values), ", expected ", next_values ? "that" : "one row more than that", " of rewards, ",
              shape_text(rewards));
  if (next_values) {
    check_dtype("next_values", *next_values, rewards.scalar_type());
    check_same_shape("next_values", *next_values, rewards);
  }
  check_mask("terminations", terminations, rewards);
  check_mask("truncations", truncations, rewards);

  Tensor advantages = torch::stable::empty_like(rewards);
  if (rewards.numel() == 0) return advantages;
  const int64_t batch = rewards.numel() / horizon;
  dispatch_floating(rewards, [&]<class T>() {
    const T* r = rewards.const_data_ptr<T>();
    const T* v = values.const_data_ptr<T>();
    const T* next = next_values ? next_values->const_data_ptr<T>() : v + batch;
    const Ends ends(terminations, truncations);
    T* out = advantages.mutable_data_ptr<T>();
    for_column_blocks(horizon, batch, kColumnBlock, [&](int64_t begin, int64_t end) {
      gae_columns<T>(r, v, next, ends, out, horizon, batch, begin, end, T(discount), T(discount * gae_lambda));
    });
  });
  return advantages;
}

std::tuple<Tensor, Tensor, Tensor> gae_backward(const Tensor& grad_, const std::optional<Tensor>& terminations_,
                                                const std::optional<Tensor>& truncations_, double discount,
                                                double gae_lambda, bool separate) {
  const Tensor grad = row_major(grad_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  check_floating("grad", grad);
  MAMRL_CHECK(grad.dim() >= 1, "grad must have time as its first dimension");
  check_mask("terminations", terminations, grad);
  check_mask("truncations", truncations, grad);

  const int64_t horizon = grad.size(0);
  std::vector<int64_t> sizes(grad.sizes().begin(), grad.sizes().end());
  Tensor grad_rewards = torch::stable::empty_like(grad);
  sizes[0] = horizon + (separate ? 0 : 1);
  Tensor grad_values = torch::stable::new_empty(grad, sizes);
  sizes[0] = separate ? horizon : 0;
  Tensor grad_next = torch::stable::new_empty(grad, sizes);
  if (grad.numel() == 0) return {grad_rewards, torch::stable::zero_(grad_values), grad_next};
  const int64_t batch = grad.numel() / horizon;
  dispatch_floating(grad, [&]<class T>() {
    const T* g = grad.const_data_ptr<T>();
    const Ends ends(terminations, truncations);
    T* gr = grad_rewards.mutable_data_ptr<T>();
    T* gv = grad_values.mutable_data_ptr<T>();
    T* gn = grad_next.mutable_data_ptr<T>();
    for_column_blocks(horizon, batch, kColumnBlock, [&](int64_t begin, int64_t end) {
      gae_backward_columns<T>(g, ends, gr, gv, gn, separate, horizon, batch, begin, end, T(discount),
                              T(discount * gae_lambda));
    });
  });
  return {grad_rewards, grad_values, grad_next};
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("gae", TORCH_BOX(&mamrl::gae));
  m.impl("gae_backward", TORCH_BOX(&mamrl::gae_backward));
}
