// The LSTM with its output layer at the boundary to torch: checks and allocation, for every device.
#pragma once

#include <tuple>

#include "ops/lstm_tensors.h"

namespace mamrl {

template <class Device>
std::tuple<Tensor, Tensor> lstm(const Tensor& gate_inputs, const std::optional<Tensor>& states, const Tensor& recurrent,
                                const Tensor& head, const Tensor& bias, double /*carry*/) {
  const Device device({&gate_inputs, pointer(states), &recurrent, &head, &bias});
  const LstmTensors tensors(device, gate_inputs, states, recurrent, head, bias);
  Tensor outputs = tensors.new_steps(device, {tensors.shape.outputs});
  Tensor saved = tensors.new_steps(device, {5, tensors.padded()});
  if (tensors.empty()) return {outputs, saved};
  dispatch_floating(outputs, [&]<class T>() {
    device.run(
        LstmForward<T>{tensors.shape, tensors.weights<T>(), outputs.mutable_data_ptr<T>(), saved.mutable_data_ptr<T>()},
        tensors.gate_inputs);
  });
  return {outputs, saved};
}

// The outputs are those of the rollout that recorded them; a copy, since an op may not return its argument.
template <class Device>
Tensor lstm_recorded(const Tensor& gate_inputs, const std::optional<Tensor>& states, const Tensor& recurrent,
                     const Tensor& head, const Tensor& bias, const Tensor& outputs, const Tensor& saved,
                     double /*carry*/) {
  const Device device({&gate_inputs, pointer(states), &recurrent, &head, &bias, &outputs, &saved});
  const LstmTensors tensors(device, gate_inputs, states, recurrent, head, bias);
  tensors.steps("saved", saved, {5, tensors.padded()});
  return torch::stable::clone(tensors.steps("outputs", outputs, {tensors.shape.outputs}));
}

// The tensors behind LstmGradients.
struct LstmGradientTensors {
  Tensor gate_inputs, recurrent, head, bias;

  template <class Device>
  LstmGradientTensors(const Device& device, const LstmTensors& t)
      : gate_inputs(new_like(device, t.gate_inputs)),
        recurrent(new_like(device, t.recurrent)),
        head(new_like(device, t.head)),
        bias(new_tensor(device, t.head, {t.shape.chains, t.shape.outputs})) {
    if (!t.empty()) return;
    for (Tensor* gradient : {&gate_inputs, &recurrent, &head, &bias}) torch::stable::zero_(*gradient);
  }

  template <class T>
  LstmGradients<T> pointers() const {
    return {gate_inputs.mutable_data_ptr<T>(), recurrent.mutable_data_ptr<T>(), head.mutable_data_ptr<T>(),
            bias.mutable_data_ptr<T>()};
  }
};

template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> lstm_backward(const Tensor& grad_outputs_, const Tensor& gate_inputs,
                                                                 const std::optional<Tensor>& states,
                                                                 const Tensor& recurrent, const Tensor& head,
                                                                 const Tensor& saved_, double carry) {
  const Device device({&gate_inputs, &grad_outputs_, pointer(states), &recurrent, &head, &saved_});
  const LstmTensors tensors(device, gate_inputs, states, recurrent, head, std::nullopt);
  const Tensor grad_outputs = tensors.steps("grad_outputs", grad_outputs_, {tensors.shape.outputs});
  const Tensor saved = tensors.steps("saved", saved_, {5, tensors.padded()});
  Tensor adjoints = tensors.new_steps(device, {tensors.padded()});
  const LstmGradientTensors grads(device, tensors);
  if (!tensors.empty()) {
    dispatch_floating(saved, [&]<class T>() {
      device.run(
          LstmBackward<T>{tensors.shape, static_cast<T>(carry), tensors.weights<T>(), grad_outputs.const_data_ptr<T>(),
                          saved.const_data_ptr<T>(), adjoints.mutable_data_ptr<T>(), grads.pointers<T>()},
          tensors.gate_inputs);
    });
  }
  return {grads.gate_inputs, grads.recurrent, grads.head, grads.bias, adjoints};
}

template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor> lstm_double_backward(
    const Tensor& dir_gate_inputs, const Tensor& dir_recurrent, const Tensor& dir_head, const Tensor& dir_bias,
    const Tensor& grad_outputs_, const Tensor& gate_inputs, const std::optional<Tensor>& states,
    const Tensor& recurrent, const Tensor& head, const Tensor& saved_, const Tensor& adjoints_, double carry) {
  const Device device({&gate_inputs, &dir_gate_inputs, &dir_recurrent, &dir_head, &dir_bias, &grad_outputs_,
                       pointer(states), &recurrent, &head, &saved_, &adjoints_});
  const LstmTensors tensors(device, gate_inputs, states, recurrent, head, std::nullopt);
  check_dtype("dir_gate_inputs", dir_gate_inputs, gate_inputs.scalar_type());
  const LstmTensors direction(device, dir_gate_inputs, states, dir_recurrent, dir_head, dir_bias, "dir_");
  const LstmShape &s = tensors.shape, &d = direction.shape;
  MAMRL_CHECK(s.horizon == d.horizon && s.chains == d.chains && s.trajectories == d.trajectories &&
                  s.units == d.units && s.outputs == d.outputs && s.rows == d.rows,
              "the direction must have the shapes of the weights");
  const Tensor grad_outputs = tensors.steps("grad_outputs", grad_outputs_, {s.outputs});
  const Tensor saved = tensors.steps("saved", saved_, {5, tensors.padded()});
  const Tensor adjoints = tensors.steps("adjoints", adjoints_, {tensors.padded()});
  Tensor grad_grad_outputs = tensors.new_steps(device, {s.outputs});
  const LstmGradientTensors grads(device, tensors);
  if (!tensors.empty()) {
    dispatch_floating(saved, [&]<class T>() {
      device.run(LstmDoubleBackward<T>{s, static_cast<T>(carry), tensors.weights<T>(), direction.weights<T>(),
                                       grad_outputs.const_data_ptr<T>(), saved.const_data_ptr<T>(),
                                       adjoints.const_data_ptr<T>(), grad_grad_outputs.mutable_data_ptr<T>(),
                                       grads.pointers<T>()},
                 tensors.gate_inputs);
    });
  }
  return {grad_grad_outputs, grads.gate_inputs, grads.recurrent, grads.head};
}

}  // namespace mamrl
