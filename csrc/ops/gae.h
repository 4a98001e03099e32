// Generalized advantages and their transpose at the boundary to torch: checks and allocation, for every device.
#pragma once

#include <tuple>

#include "common/check.h"
#include "common/columns.h"

namespace mamrl {

template <class Device>
Tensor gae(const Tensor& rewards_, const Tensor& values_, const std::optional<Tensor>& next_values_,
           const std::optional<Tensor>& terminations_, const std::optional<Tensor>& truncations_, double discount,
           double gae_lambda) {
  check_floating("rewards", rewards_);
  check_has_time("rewards", rewards_);
  const int64_t horizon = rewards_.size(0);
  if (next_values_) {
    check_like("values", values_, "rewards, next_values being given", rewards_);
    check_like("next_values", *next_values_, "rewards", rewards_);
  } else {
    check_dtype("values", values_, rewards_.scalar_type(), "rewards");
    MAMRL_CHECK(same_shape(values_, rewards_, 1) && values_.size(0) == horizon + 1, "values has shape ",
                shape_text(values_), ", expected one row more than the ", shape_text(rewards_), " of rewards");
  }
  check_mask("terminations", terminations_, "rewards", rewards_);
  check_mask("truncations", truncations_, "rewards", rewards_);
  check_fraction("discount", discount);
  check_fraction("gae_lambda", gae_lambda);
  const Tensor rewards = row_major(rewards_), values = row_major(values_);
  const auto next_values = row_major(next_values_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  const Device device({&rewards, &values, pointer(next_values), pointer(terminations), pointer(truncations)});
  Tensor advantages = new_like(device, rewards);
  if (rewards.numel() == 0) return advantages;
  dispatch_floating(rewards, [&]<class T>() {
    GaeColumns<T> op;
    op.horizon = horizon;
    op.columns = rewards.numel() / horizon;
    op.rewards = rewards.const_data_ptr<T>();
    op.values = values.const_data_ptr<T>();
    op.next_values = next_values ? next_values->const_data_ptr<T>() : op.values + op.columns;
    op.terminations = data_or_null<bool>(terminations);
    op.truncations = data_or_null<bool>(truncations);
    op.advantages = advantages.mutable_data_ptr<T>();
    op.discount = T(discount);
    op.discount_lambda = T(discount * gae_lambda);
    device.run(op);
  });
  return advantages;
}

template <class Device>
std::tuple<Tensor, Tensor, Tensor> gae_backward(const Tensor& grad_, const std::optional<Tensor>& terminations_,
                                                const std::optional<Tensor>& truncations_, double discount,
                                                double gae_lambda, bool separate) {
  check_floating("grad", grad_);
  check_has_time("grad", grad_);
  check_mask("terminations", terminations_, "grad", grad_);
  check_mask("truncations", truncations_, "grad", grad_);
  const Tensor grad = row_major(grad_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  const Device device({&grad, pointer(terminations), pointer(truncations)});
  const int64_t horizon = grad.size(0);
  Tensor grad_rewards = new_like(device, grad);
  Tensor grad_values = new_like(device, grad, separate ? horizon : horizon + 1);
  Tensor grad_next = new_like(device, grad, separate ? horizon : 0);
  if (grad.numel() == 0) return {grad_rewards, torch::stable::zero_(grad_values), grad_next};
  dispatch_floating(grad, [&]<class T>() {
    GaeBackwardColumns<T> op;
    op.horizon = horizon;
    op.columns = grad.numel() / horizon;
    op.grad = grad.const_data_ptr<T>();
    op.terminations = data_or_null<bool>(terminations);
    op.truncations = data_or_null<bool>(truncations);
    op.grad_rewards = grad_rewards.mutable_data_ptr<T>();
    op.grad_values = grad_values.mutable_data_ptr<T>();
    op.grad_next_values = separate ? grad_next.mutable_data_ptr<T>() : nullptr;
    op.discount = T(discount);
    op.discount_lambda = T(discount * gae_lambda);
    device.run(op);
  });
  return {grad_rewards, grad_values, grad_next};
}

}  // namespace mamrl
