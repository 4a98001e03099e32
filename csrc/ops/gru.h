// The GRU with its output layer at the boundary to torch, for every device.
#pragma once

#include "common/gru_kernels.h"
#include "ops/recurrent.h"

namespace mamrl {

template <class Device>
std::tuple<Tensor, Tensor> gru(const Tensor& gate_inputs, const std::optional<Tensor>& states, const Tensor& recurrent,
                               const Tensor& recurrent_bias, const Tensor& head, const Tensor& bias, double /*carry*/) {
  const Device device({&gate_inputs, pointer(states), &recurrent, &recurrent_bias, &head, &bias});
  return recurrent_forward(
      device, RecurrentTensors(device, kGruGates, gate_inputs, states, recurrent, recurrent_bias, head, bias));
}

// The recurrent bias is in what was saved; it is an argument because the second derivative is one in it too.
template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> gru_backward(
    const Tensor& grad_outputs, const Tensor& gate_inputs, const std::optional<Tensor>& states, const Tensor& recurrent,
    const Tensor& recurrent_bias, const Tensor& head, const Tensor& saved, double carry) {
  const Device device({&gate_inputs, &grad_outputs, pointer(states), &recurrent, &recurrent_bias, &head, &saved});
  const RecurrentTensors tensors(device, kGruGates, gate_inputs, states, recurrent, recurrent_bias, head, std::nullopt);
  const auto [grads, adjoints] = recurrent_backward(device, tensors, grad_outputs, saved, carry);
  return {grads.gate_inputs, grads.recurrent, *grads.recurrent_bias, grads.head, grads.bias, adjoints};
}

template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> gru_double_backward(
    const Tensor& dir_gate_inputs, const Tensor& dir_recurrent, const Tensor& dir_recurrent_bias,
    const Tensor& dir_head, const Tensor& dir_bias, const Tensor& grad_outputs, const Tensor& gate_inputs,
    const std::optional<Tensor>& states, const Tensor& recurrent, const Tensor& recurrent_bias, const Tensor& head,
    const Tensor& saved, const Tensor& adjoints, double carry) {
  const Device device({&gate_inputs, &dir_gate_inputs, &dir_recurrent, &dir_recurrent_bias, &dir_head, &dir_bias,
                       &grad_outputs, pointer(states), &recurrent, &recurrent_bias, &head, &saved, &adjoints});
  const RecurrentTensors tensors(device, kGruGates, gate_inputs, states, recurrent, recurrent_bias, head, std::nullopt);
  const RecurrentTensors direction(device, kGruGates, dir_gate_inputs, states, dir_recurrent, dir_recurrent_bias,
                                   dir_head, dir_bias, "dir_");
  const auto [grad_grad_outputs, grads] =
      recurrent_double_backward(device, tensors, direction, grad_outputs, saved, adjoints, carry);
  return {grad_grad_outputs, grads.gate_inputs, grads.recurrent, *grads.recurrent_bias, grads.head};
}

}  // namespace mamrl
