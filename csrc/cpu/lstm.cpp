// The LSTM with its output layer: forward, backward, double backward. The loops are in csrc/cpu/simd.
#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "cpu/lstm_tensors.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"

namespace mamrl {
namespace {

using std::optional;

std::tuple<Tensor, Tensor> lstm(const Tensor& gate_inputs, const optional<Tensor>& states, const Tensor& recurrent,
                                const Tensor& head, const Tensor& bias) {
  const LstmTensors tensors(gate_inputs, states, recurrent, head, bias);
  Tensor outputs = tensors.new_steps({tensors.shape.outputs});
  Tensor saved = tensors.new_steps({5, tensors.padded()});
  if (tensors.empty()) return {outputs, saved};
  prefer_huge_pages(saved.mutable_data_ptr(), saved.numel() * saved.element_size());
  dispatch_floating(outputs, [&]<class T>() {
    const LstmForward<T> op = {tensors.shape, tensors.weights<T>(), outputs.mutable_data_ptr<T>(),
                               saved.mutable_data_ptr<T>()};
    const SimdKernels<T>& simd = simd_kernels<T>();
    run_tasks(tensors.tasks(), simd.lstm_forward_scratch(op.shape),
              [&](int64_t first, int64_t last, char* memory) { simd.lstm_forward(op, first, last, memory); });
  });
  return {outputs, saved};
}

// The outputs are those of the rollout that recorded them; a copy, since an op may not return its argument.
Tensor lstm_recorded(const Tensor& gate_inputs, const optional<Tensor>& states, const Tensor& recurrent,
                     const Tensor& head, const Tensor& bias, const Tensor& outputs, const Tensor& saved) {
  const LstmTensors tensors(gate_inputs, states, recurrent, head, bias);
  tensors.steps("saved", saved, {5, tensors.padded()});
  return torch::stable::clone(tensors.steps("outputs", outputs, {tensors.shape.outputs}));
}

// Gradients of the weights, summed over the parts of each chain in their order.
struct WeightGradients {
  Tensor gate_inputs, recurrent, head, bias;

  explicit WeightGradients(const LstmTensors& t)
      : gate_inputs(t.shape.rows ? torch::stable::empty_like(t.gate_inputs) : t.new_steps({4 * t.shape.units})),
        recurrent(torch::stable::empty_like(t.recurrent)),
        head(torch::stable::empty_like(t.head)),
        bias(torch::stable::new_empty(t.head, {t.shape.chains, t.shape.outputs})) {}

  template <class T>
  T* dense(const LstmTensors& t) {
    return t.shape.rows ? nullptr : gate_inputs.mutable_data_ptr<T>();
  }

  template <class T>
  void sum_parts(const LstmTensors& t, const T* partials) {
    const LstmShape s = t.shape;
    const int64_t padded = t.padded(), size = partial_size(s), parts = t.tasks() / (s.chains ? s.chains : 1);
    T* const tables = s.rows ? gate_inputs.mutable_data_ptr<T>() : nullptr;
    T* const recurrents = recurrent.mutable_data_ptr<T>();
    T* const heads = head.mutable_data_ptr<T>();
    T* const biases = bias.mutable_data_ptr<T>();
    torch::stable::parallel_for(0, s.chains, 1, [&](int64_t first, int64_t last) {
      for (int64_t m = first; m < last; ++m) {
        const T* from = partials + m * parts * size;
        const auto add_up = [&](T* to, int64_t rows, int64_t columns, int64_t from_columns) {
          for (int64_t r = 0; r < rows; ++r, to += columns, from += from_columns) {
            for (int64_t j = 0; j < columns; ++j) to[j] = parts ? from[j] : T(0);
            for (int64_t part = 1; part < parts; ++part) {
              for (int64_t j = 0; j < columns; ++j) to[j] += from[part * size + j];
            }
          }
        };
        for (int64_t gate = 0; gate < 4; ++gate) {
          add_up(recurrents + (4 * m + gate) * s.units * s.units, s.units, s.units, padded);
          from += (padded - s.units) * padded;
        }
        add_up(tables + m * s.rows * 4 * s.units, s.rows * 4, s.units, padded);
        add_up(heads + m * s.outputs * s.units, s.outputs, s.units, padded);
        add_up(biases + m * s.outputs, 1, s.outputs, s.outputs);
      }
    });
  }
};

Tensor new_partials(const LstmTensors& t) {
  return torch::stable::new_empty(t.gate_inputs, {t.tasks(), partial_size(t.shape)});
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> lstm_backward(const Tensor& grad_outputs_, const Tensor& gate_inputs,
                                                                 const optional<Tensor>& states,
                                                                 const Tensor& recurrent, const Tensor& head,
                                                                 const Tensor& saved_) {
  const LstmTensors tensors(gate_inputs, states, recurrent, head, std::nullopt);
  const Tensor grad_outputs = tensors.steps("grad_outputs", grad_outputs_, {tensors.shape.outputs});
  const Tensor saved = tensors.steps("saved", saved_, {5, tensors.padded()});
  Tensor adjoints = tensors.new_steps({tensors.padded()});
  Tensor partials = new_partials(tensors);
  WeightGradients grads(tensors);
  dispatch_floating(saved, [&]<class T>() {
    const LstmBackward<T> op = {tensors.shape,
                                tensors.weights<T>(),
                                grad_outputs.const_data_ptr<T>(),
                                saved.const_data_ptr<T>(),
                                grads.dense<T>(tensors),
                                adjoints.mutable_data_ptr<T>(),
                                partials.mutable_data_ptr<T>()};
    const SimdKernels<T>& simd = simd_kernels<T>();
    run_tasks(tensors.tasks(), simd.lstm_backward_scratch(op.shape),
              [&](int64_t first, int64_t last, char* memory) { simd.lstm_backward(op, first, last, memory); });
    grads.sum_parts<T>(tensors, op.partials);
  });
  return {grads.gate_inputs, grads.recurrent, grads.head, grads.bias, adjoints};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> lstm_double_backward(
    const Tensor& dir_gate_inputs, const Tensor& dir_recurrent, const Tensor& dir_head, const Tensor& dir_bias,
    const Tensor& grad_outputs_, const Tensor& gate_inputs, const optional<Tensor>& states, const Tensor& recurrent,
    const Tensor& head, const Tensor& saved_, const Tensor& adjoints_) {
  const LstmTensors tensors(gate_inputs, states, recurrent, head, std::nullopt);
  check_dtype("dir_gate_inputs", dir_gate_inputs, gate_inputs.scalar_type());
  const LstmTensors direction(dir_gate_inputs, states, dir_recurrent, dir_head, dir_bias, "dir_");
  const LstmShape &s = tensors.shape, &d = direction.shape;
  MAMRL_CHECK(s.horizon == d.horizon && s.chains == d.chains && s.trajectories == d.trajectories &&
                  s.units == d.units && s.outputs == d.outputs && s.rows == d.rows,
              "the direction must have the shapes of the weights");
  const Tensor grad_outputs = tensors.steps("grad_outputs", grad_outputs_, {s.outputs});
  const Tensor saved = tensors.steps("saved", saved_, {5, tensors.padded()});
  const Tensor adjoints = tensors.steps("adjoints", adjoints_, {tensors.padded()});
  Tensor grad_grad_outputs = tensors.new_steps({s.outputs});
  Tensor partials = new_partials(tensors);
  WeightGradients grads(tensors);
  dispatch_floating(saved, [&]<class T>() {
    const LstmDoubleBackward<T> op = {s,
                                      tensors.weights<T>(),
                                      direction.weights<T>(),
                                      grad_outputs.const_data_ptr<T>(),
                                      saved.const_data_ptr<T>(),
                                      adjoints.const_data_ptr<T>(),
                                      grad_grad_outputs.mutable_data_ptr<T>(),
                                      grads.dense<T>(tensors),
                                      partials.mutable_data_ptr<T>()};
    const SimdKernels<T>& simd = simd_kernels<T>();
    run_tasks(tensors.tasks(), simd.lstm_double_backward_scratch(op.shape),
              [&](int64_t first, int64_t last, char* memory) { simd.lstm_double_backward(op, first, last, memory); });
    grads.sum_parts<T>(tensors, op.partials);
  });
  return {grad_grad_outputs, grads.gate_inputs, grads.recurrent, grads.head};
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("lstm", TORCH_BOX(&mamrl::lstm));
  m.impl("lstm_recorded", TORCH_BOX(&mamrl::lstm_recorded));
  m.impl("lstm_backward", TORCH_BOX(&mamrl::lstm_backward));
  m.impl("lstm_double_backward", TORCH_BOX(&mamrl::lstm_double_backward));
}
