// Discounted returns: a recursion backwards over time, vectorised over the trailing batch, and its transpose.
#include "common/returns.h"

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/check.h"
#include "cpu/columns.h"
#include "cpu/ends.h"

namespace mamrl {
namespace {

template <class T>
void returns_columns(const T* __restrict__ rewards, const T* __restrict__ next_values, Ends ends,
                     T* __restrict__ returns, int64_t horizon, int64_t batch, int64_t begin, int64_t end, T discount) {
  for (int64_t t = horizon - 1; t >= 0; --t) {
    const bool last = t + 1 == horizon;
    for (int64_t i = t * batch + begin; i < t * batch + end; ++i) {
      const T bootstrap = next_values ? next_values[i] : T(0);
      returns[i] = return_step<T>(rewards[i], bootstrap, last ? bootstrap : returns[i + batch], ends.terminated(i),
                                  ends.truncated(i), discount);
    }
  }
}

template <class T>
void returns_backward_columns(const T* __restrict__ grad, Ends ends, T* __restrict__ grad_rewards,
                              T* __restrict__ grad_next, int64_t horizon, int64_t batch, int64_t begin, int64_t end,
                              T discount) {
  for (int64_t t = 0; t < horizon; ++t) {
    const bool last = t + 1 == horizon;
    for (int64_t i = t * batch + begin; i < t * batch + end; ++i) {
      const int64_t before = i - batch;
      const T trace = t ? return_trace_step<T>(grad[i], grad_rewards[before], ends.ended(before), discount) : grad[i];
      grad_rewards[i] = trace;
      grad_next[i] = (last || ends.truncated(i)) && !ends.terminated(i) ? discount * trace : T(0);
    }
  }
}

Tensor discounted_returns(const Tensor& rewards_, const std::optional<Tensor>& next_values_,
                          const std::optional<Tensor>& terminations_, const std::optional<Tensor>& truncations_,
                          double discount) {
  const Tensor rewards = row_major(rewards_);
  const auto next_values = row_major(next_values_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  check_floating("rewards", rewards);
  MAMRL_CHECK(rewards.dim() >= 1, "rewards must have time as its first dimension");
  if (next_values) {
    check_dtype("next_values", *next_values, rewards.scalar_type());
    check_same_shape("next_values", *next_values, rewards);
  }
  check_mask("terminations", terminations, rewards);
  check_mask("truncations", truncations, rewards);

  Tensor returns = torch::stable::empty_like(rewards);
  if (rewards.numel() == 0) return returns;
  const int64_t horizon = rewards.size(0), batch = rewards.numel() / horizon;
  dispatch_floating(rewards, [&]<class T>() {
    const T* r = rewards.const_data_ptr<T>();
    const T* next = data_or_null<T>(next_values);
    const Ends ends(terminations, truncations);
    T* out = returns.mutable_data_ptr<T>();
    for_column_blocks(horizon, batch, kColumnBlock, [&](int64_t begin, int64_t end) {
      returns_columns<T>(r, next, ends, out, horizon, batch, begin, end, T(discount));
    });
  });
  return returns;
}

std::tuple<Tensor, Tensor> discounted_returns_backward(const Tensor& grad_, const std::optional<Tensor>& terminations_,
                                                       const std::optional<Tensor>& truncations_, double discount) {
  const Tensor grad = row_major(grad_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  check_floating("grad", grad);
  MAMRL_CHECK(grad.dim() >= 1, "grad must have time as its first dimension");
  check_mask("terminations", terminations, grad);
  check_mask("truncations", truncations, grad);

  Tensor grad_rewards = torch::stable::empty_like(grad), grad_next = torch::stable::empty_like(grad);
  if (grad.numel() == 0) return {grad_rewards, grad_next};
  const int64_t horizon = grad.size(0), batch = grad.numel() / horizon;
  dispatch_floating(grad, [&]<class T>() {
    const T* g = grad.const_data_ptr<T>();
    const Ends ends(terminations, truncations);
    T* gr = grad_rewards.mutable_data_ptr<T>();
    T* gn = grad_next.mutable_data_ptr<T>();
    for_column_blocks(horizon, batch, kColumnBlock, [&](int64_t begin, int64_t end) {
      returns_backward_columns<T>(g, ends, gr, gn, horizon, batch, begin, end, T(discount));
    });
  });
  return {grad_rewards, grad_next};
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("discounted_returns", TORCH_BOX(&mamrl::discounted_returns));
  m.impl("discounted_returns_backward", TORCH_BOX(&mamrl::discounted_returns_backward));
}
