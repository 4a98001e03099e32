// DiCE objectives, their gradient and their Hessian-vector product at the boundary to torch: checks and allocation, for
// every device.
#pragma once

#include <tuple>

#include "common/check.h"
#include "common/host_device.h"

namespace mamrl {

// (T, M, K), or (T, K) for one chain: then what belongs to a chain has no dimension
struct DiceShape {
  int64_t horizon, chains, trajectories, dims;

  MAMRL_METHOD int64_t columns() const { return chains * trajectories; }
  Tensor empty_chains(const Tensor& like) const { return empty_row_major(like, &chains, dims - 2); }
};

// of a chain's columns: the gradient of its objective over the number of trajectories; no gradients are ones
template <class T>
MAMRL_FN T dice_scale(const T* grad, int64_t chain, const DiceShape& shape) {
  return (grad ? grad[chain] : T(1)) / T(shape.trajectories);
}

// loaded: rewards are advantages, whose weights are not summed over time and whose objective is zero
template <class T>
struct DiceObjective {
  DiceShape shape;
  double discount;
  bool loaded;
  const T* rewards;
  T *objective, *pair_weights;
};

// grad (M): of the chains' objectives, or null; baseline may be null
template <class T>
struct DiceGradient {
  DiceShape shape;
  double discount;
  const T *grad, *pair_weights, *baseline;
  T* gradient;
};

// grad_grad may be null
template <class T>
struct DiceProduct {
  DiceShape shape;
  double discount;
  const T *vector, *grad, *pair_weights, *baseline;
  T *product, *grad_grad;
};

inline DiceShape dice_shape(const char* name, const Tensor& t) {
  check_floating(name, t);
  const int64_t dims = t.dim();
  MAMRL_CHECK(dims == 2 || dims == 3, name, " has shape ", shape_text(t), ", expected (T, M, K) or (T, K)");
  const DiceShape shape{t.size(0), dims == 3 ? t.size(1) : 1, t.size(dims - 1), dims};
  MAMRL_CHECK(shape.trajectories > 0, name, " has no trajectory, expected K at least 1");
  return shape;
}

template <class Device>
std::tuple<Tensor, Tensor> dice_objective(const Tensor& log_probs, const Tensor& rewards_, const Tensor& baseline,
                                          double discount) {
  const DiceShape shape = dice_shape("log_probs", log_probs);
  check_like("rewards", rewards_, "log_probs", log_probs);
  check_like("baseline", baseline, "log_probs", log_probs);
  check_fraction("discount", discount);
  const Tensor rewards = row_major(rewards_);
  const Device device({&rewards});
  Tensor objective = shape.empty_chains(rewards), pair_weights = new_like(device, rewards);
  dispatch_floating(rewards, [&]<class T>() {
    device.run(DiceObjective<T>{shape, discount, false, rewards.const_data_ptr<T>(), objective.mutable_data_ptr<T>(),
                                pair_weights.mutable_data_ptr<T>()});
  });
  return {objective, pair_weights};
}

template <class Device>
std::tuple<Tensor, Tensor> loaded_dice_objective(const Tensor& log_probs, const Tensor& advantages_, double discount) {
  const DiceShape shape = dice_shape("log_probs", log_probs);
  check_like("advantages", advantages_, "log_probs", log_probs);
  check_fraction("discount", discount);
  const Tensor advantages = row_major(advantages_);
  const Device device({&advantages});
  Tensor objective = shape.empty_chains(advantages), pair_weights = new_like(device, advantages);
  dispatch_floating(advantages, [&]<class T>() {
    device.run(DiceObjective<T>{shape, discount, true, advantages.const_data_ptr<T>(), objective.mutable_data_ptr<T>(),
                                pair_weights.mutable_data_ptr<T>()});
  });
  return {objective, pair_weights};
}

// what both derivatives are given
inline DiceShape check_dice_derivative(const Tensor& log_probs, const Tensor& grad, const Tensor& pair_weights,
                                       const std::optional<Tensor>& baseline, double discount) {
  const DiceShape shape = dice_shape("log_probs", log_probs);
  check_like("pair_weights", pair_weights, "log_probs", log_probs);
  check_dtype("grad", grad, log_probs.scalar_type(), "log_probs");
  MAMRL_CHECK(grad.dim() == shape.dims - 2 && grad.numel() == shape.chains, "grad has shape ", shape_text(grad),
              ", expected one number a chain of log_probs, ", shape_text(log_probs));
  if (baseline) check_like("baseline", *baseline, "log_probs", log_probs);
  check_fraction("discount", discount);
  return shape;
}

template <class Device>
Tensor dice_gradient(const Tensor& log_probs, const Tensor& grad_, const Tensor& pair_weights_,
                     const std::optional<Tensor>& baseline_, double discount) {
  const DiceShape shape = check_dice_derivative(log_probs, grad_, pair_weights_, baseline_, discount);
  const Tensor grad = row_major(grad_), pair_weights = row_major(pair_weights_);
  const auto baseline = row_major(baseline_);
  const Device device({&pair_weights, &grad, pointer(baseline)});
  Tensor gradient = new_like(device, pair_weights);
  dispatch_floating(pair_weights, [&]<class T>() {
    device.run(DiceGradient<T>{shape, discount, grad.const_data_ptr<T>(), pair_weights.const_data_ptr<T>(),
                               data_or_null<T>(baseline), gradient.mutable_data_ptr<T>()});
  });
  return gradient;
}

template <class Device>
std::tuple<Tensor, Tensor> dice_hessian_product(const Tensor& log_probs, const Tensor& vector_, const Tensor& grad_,
                                                const Tensor& pair_weights_, const std::optional<Tensor>& baseline_,
                                                double discount) {
  const DiceShape shape = check_dice_derivative(log_probs, grad_, pair_weights_, baseline_, discount);
  check_like("vector", vector_, "log_probs", log_probs);
  const Tensor vector = row_major(vector_), grad = row_major(grad_), pair_weights = row_major(pair_weights_);
  const auto baseline = row_major(baseline_);
  const Device device({&pair_weights, &vector, &grad, pointer(baseline)});
  Tensor product = new_like(device, pair_weights), grad_grad = new_like(device, grad);
  dispatch_floating(pair_weights, [&]<class T>() {
    device.run(DiceProduct<T>{shape, discount, vector.const_data_ptr<T>(), grad.const_data_ptr<T>(),
                              pair_weights.const_data_ptr<T>(), data_or_null<T>(baseline),
                              product.mutable_data_ptr<T>(), grad_grad.mutable_data_ptr<T>()});
  });
  return {product, grad_grad};
}

// Value, gradient and Hessian-vector product at once, of the sum over chains.
template <class Device>
std::tuple<Tensor, Tensor, Tensor> dice_derivatives(const Tensor& log_probs, const Tensor& rewards_,
                                                    const Tensor& baseline_, const Tensor& vector_, double discount) {
  const DiceShape shape = dice_shape("log_probs", log_probs);
  check_like("rewards", rewards_, "log_probs", log_probs);
  check_like("baseline", baseline_, "log_probs", log_probs);
  check_like("vector", vector_, "log_probs", log_probs);
  check_fraction("discount", discount);
  const Tensor rewards = row_major(rewards_), baseline = row_major(baseline_), vector = row_major(vector_);
  const Device device({&rewards, &baseline, &vector});
  Tensor objective = shape.empty_chains(rewards), gradient = new_like(device, rewards);
  Tensor product = new_like(device, rewards), pair_weights = new_like(device, rewards);
  dispatch_floating(rewards, [&]<class T>() {
    const T *weights = pair_weights.const_data_ptr<T>(), *own = baseline.const_data_ptr<T>();
    device.run(DiceObjective<T>{shape, discount, false, rewards.const_data_ptr<T>(), objective.mutable_data_ptr<T>(),
                                pair_weights.mutable_data_ptr<T>()});
    device.run(DiceGradient<T>{shape, discount, nullptr, weights, own, gradient.mutable_data_ptr<T>()});
    device.run(DiceProduct<T>{shape, discount, vector.const_data_ptr<T>(), nullptr, weights, own,
                              product.mutable_data_ptr<T>(), nullptr});
  });
  return {objective, gradient, product};
}

}  // namespace mamrl
