// Discounted returns and their transpose at the boundary to torch: checks and allocation, for every device.
#pragma once

#include <tuple>

#include "common/check.h"
#include "common/columns.h"

namespace mamrl {

template <class Device>
Tensor discounted_returns(const Tensor& rewards_, const std::optional<Tensor>& next_values_,
                          const std::optional<Tensor>& terminations_, const std::optional<Tensor>& truncations_,
                          double discount) {
  check_floating("rewards", rewards_);
  check_has_time("rewards", rewards_);
  if (next_values_) check_like("next_values", *next_values_, "rewards", rewards_);
  check_mask("terminations", terminations_, "rewards", rewards_);
  check_mask("truncations", truncations_, "rewards", rewards_);
  check_fraction("discount", discount);
  const Tensor rewards = row_major(rewards_);
  const auto next_values = row_major(next_values_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  const Device device({&rewards, pointer(next_values), pointer(terminations), pointer(truncations)});
  Tensor returns = new_like(device, rewards);
  if (rewards.numel() == 0) return returns;
  dispatch_floating(rewards, [&]<class T>() {
    ReturnsColumns<T> op;
    op.horizon = rewards.size(0);
    op.columns = rewards.numel() / op.horizon;
    op.rewards = rewards.const_data_ptr<T>();
    op.next_values = data_or_null<T>(next_values);
    op.terminations = data_or_null<bool>(terminations);
    op.truncations = data_or_null<bool>(truncations);
    op.returns = returns.mutable_data_ptr<T>();
    op.discount = T(discount);
    device.run(op);
  });
  return returns;
}

template <class Device>
std::tuple<Tensor, Tensor> discounted_returns_backward(const Tensor& grad_, const std::optional<Tensor>& terminations_,
                                                       const std::optional<Tensor>& truncations_, double discount) {
  check_floating("grad", grad_);
  check_has_time("grad", grad_);
  check_mask("terminations", terminations_, "grad", grad_);
  check_mask("truncations", truncations_, "grad", grad_);
  const Tensor grad = row_major(grad_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  const Device device({&grad, pointer(terminations), pointer(truncations)});
  Tensor grad_rewards = new_like(device, grad), grad_next = new_like(device, grad);
  if (grad.numel() == 0) return {grad_rewards, grad_next};
  dispatch_floating(grad, [&]<class T>() {
    ReturnsBackwardColumns<T> op;
    op.horizon = grad.size(0);
    op.columns = grad.numel() / op.horizon;
    op.grad = grad.const_data_ptr<T>();
    op.terminations = data_or_null<bool>(terminations);
    op.truncations = data_or_null<bool>(truncations);
    op.grad_rewards = grad_rewards.mutable_data_ptr<T>();
    op.grad_next_values = grad_next.mutable_data_ptr<T>();
    op.discount = T(discount);
    device.run(op);
  });
  return {grad_rewards, grad_next};
}

}  // namespace mamrl
