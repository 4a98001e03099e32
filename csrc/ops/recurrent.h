// A recurrent network's three passes at the boundary to torch: checks and allocation, for every device.
#pragma once

#include <tuple>

#include "ops/recurrent_tensors.h"

namespace mamrl {

template <class Device>
std::tuple<Tensor, Tensor> recurrent_forward(const Device& device, const RecurrentTensors& tensors) {
  Tensor outputs = tensors.new_steps(device, {tensors.shape.outputs});
  Tensor saved = tensors.new_steps(device, {5, tensors.padded()});
  if (tensors.empty()) return {outputs, saved};
  dispatch_floating(outputs, [&]<class T>() {
    device.run(RecurrentForward<T>{tensors.shape, tensors.weights<T>(), outputs.mutable_data_ptr<T>(),
                                   saved.mutable_data_ptr<T>()},
               tensors.gate_inputs);
  });
  return {outputs, saved};
}

// The tensors behind RecurrentGradients.
struct RecurrentGradientTensors {
  Tensor gate_inputs, recurrent, head, bias;
  std::optional<Tensor> recurrent_bias;

  template <class Device>
  RecurrentGradientTensors(const Device& device, const RecurrentTensors& t)
      : gate_inputs(new_like(device, t.gate_inputs)),
        recurrent(new_like(device, t.recurrent)),
        head(new_like(device, t.head)),
        bias(new_tensor(device, t.head, {t.shape.chains, t.shape.outputs})) {
    if (t.recurrent_bias) recurrent_bias = new_like(device, *t.recurrent_bias);
    if (!t.empty()) return;
    for (Tensor* gradient : {&gate_inputs, &recurrent, &head, &bias}) torch::stable::zero_(*gradient);
    if (recurrent_bias) torch::stable::zero_(*recurrent_bias);
  }

  template <class T>
  RecurrentGradients<T> pointers() const {
    return {gate_inputs.mutable_data_ptr<T>(), recurrent.mutable_data_ptr<T>(), head.mutable_data_ptr<T>(),
            bias.mutable_data_ptr<T>(), recurrent_bias ? recurrent_bias->mutable_data_ptr<T>() : nullptr};
  }
};

// Returns the gradients and the adjoints.
template <class Device>
std::tuple<RecurrentGradientTensors, Tensor> recurrent_backward(const Device& device, const RecurrentTensors& tensors,
                                                                const Tensor& grad_outputs_, const Tensor& saved_,
                                                                double carry) {
  const Tensor grad_outputs = tensors.steps("grad_outputs", grad_outputs_, {tensors.shape.outputs});
  const Tensor saved = tensors.steps("saved", saved_, {5, tensors.padded()});
  Tensor adjoints = tensors.new_steps(device, {tensors.padded()});
  const RecurrentGradientTensors grads(device, tensors);
  if (!tensors.empty()) {
    dispatch_floating(saved, [&]<class T>() {
      device.run(RecurrentBackward<T>{tensors.shape, static_cast<T>(carry), tensors.weights<T>(),
                                      grad_outputs.const_data_ptr<T>(), saved.const_data_ptr<T>(),
                                      adjoints.mutable_data_ptr<T>(), grads.pointers<T>()},
                 tensors.gate_inputs);
    });
  }
  return {grads, adjoints};
}

// Returns the gradient of grad_outputs and the weights' gradients.
template <class Device>
std::tuple<Tensor, RecurrentGradientTensors> recurrent_double_backward(
    const Device& device, const RecurrentTensors& tensors, const RecurrentTensors& direction,
    const Tensor& grad_outputs_, const Tensor& saved_, const Tensor& adjoints_, double carry) {
  const RecurrentShape &s = tensors.shape, &d = direction.shape;
  MAMRL_CHECK(s.horizon == d.horizon && s.chains == d.chains && s.trajectories == d.trajectories &&
                  s.units == d.units && s.outputs == d.outputs && s.rows == d.rows,
              "the direction must have the shapes of the weights");
  check_dtype("dir_gate_inputs", direction.gate_inputs, tensors.gate_inputs.scalar_type());
  const Tensor grad_outputs = tensors.steps("grad_outputs", grad_outputs_, {s.outputs});
  const Tensor saved = tensors.steps("saved", saved_, {5, tensors.padded()});
  const Tensor adjoints = tensors.steps("adjoints", adjoints_, {tensors.padded()});
  Tensor grad_grad_outputs = tensors.new_steps(device, {s.outputs});
  const RecurrentGradientTensors grads(device, tensors);
  if (!tensors.empty()) {
    dispatch_floating(saved, [&]<class T>() {
      device.run(RecurrentDoubleBackward<T>{s, static_cast<T>(carry), tensors.weights<T>(), direction.weights<T>(),
                                            grad_outputs.const_data_ptr<T>(), saved.const_data_ptr<T>(),
                                            adjoints.const_data_ptr<T>(), grad_grad_outputs.mutable_data_ptr<T>(),
                                            grads.pointers<T>()},
                 tensors.gate_inputs);
    });
  }
  return {grad_grad_outputs, grads};
}

}  // namespace mamrl
