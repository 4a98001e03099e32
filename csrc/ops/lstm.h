// The LSTM with its output layer at the boundary to torch, for every device.
#pragma once

#include "common/lstm_kernels.h"
#include "ops/recurrent.h"

namespace mamrl {

template <class Device>
std::tuple<Tensor, Tensor> lstm(const Tensor& gate_inputs, const std::optional<Tensor>& states, const Tensor& recurrent,
                                const Tensor& head, const Tensor& bias, double /*carry*/) {
  const Device device({&gate_inputs, pointer(states), &recurrent, &head, &bias});
  return recurrent_forward(
      device, RecurrentTensors(device, kLstmGates, gate_inputs, states, recurrent, std::nullopt, head, bias));
}

// The outputs are those of the rollout that recorded them; a copy, since an op may not return its argument.
template <class Device>
Tensor lstm_recorded(const Tensor& gate_inputs, const std::optional<Tensor>& states, const Tensor& recurrent,
                     const Tensor& head, const Tensor& bias, const Tensor& outputs, const Tensor& saved,
                     double /*carry*/) {
  const Device device({&gate_inputs, pointer(states), &recurrent, &head, &bias, &outputs, &saved});
  const RecurrentTensors tensors(device, kLstmGates, gate_inputs, states, recurrent, std::nullopt, head, bias);
  tensors.steps("saved", saved, {5, tensors.padded()});
  return torch::stable::clone(tensors.steps("outputs", outputs, {tensors.shape.outputs}));
}

template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> lstm_backward(const Tensor& grad_outputs, const Tensor& gate_inputs,
                                                                 const std::optional<Tensor>& states,
                                                                 const Tensor& recurrent, const Tensor& head,
                                                                 const Tensor& saved, double carry) {
  const Device device({&gate_inputs, &grad_outputs, pointer(states), &recurrent, &head, &saved});
  const RecurrentTensors tensors(device, kLstmGates, gate_inputs, states, recurrent, std::nullopt, head, std::nullopt);
  const auto [grads, adjoints] = recurrent_backward(device, tensors, grad_outputs, saved, carry);
  return {grads.gate_inputs, grads.recurrent, grads.head, grads.bias, adjoints};
}

template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor> lstm_double_backward(
    const Tensor& dir_gate_inputs, const Tensor& dir_recurrent, const Tensor& dir_head, const Tensor& dir_bias,
    const Tensor& grad_outputs, const Tensor& gate_inputs, const std::optional<Tensor>& states, const Tensor& recurrent,
    const Tensor& head, const Tensor& saved, const Tensor& adjoints, double carry) {
  const Device device({&gate_inputs, &dir_gate_inputs, &dir_recurrent, &dir_head, &dir_bias, &grad_outputs,
                       pointer(states), &recurrent, &head, &saved, &adjoints});
  const RecurrentTensors tensors(device, kLstmGates, gate_inputs, states, recurrent, std::nullopt, head, std::nullopt);
  const RecurrentTensors direction(device, kLstmGates, dir_gate_inputs, states, dir_recurrent, std::nullopt, dir_head,
                                   dir_bias, "dir_");
  const auto [grad_grad_outputs, grads] =
      recurrent_double_backward(device, tensors, direction, grad_outputs, saved, adjoints, carry);
  return {grad_grad_outputs, grads.gate_inputs, grads.recurrent, grads.head};
}

}  // namespace mamrl
