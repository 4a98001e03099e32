// A recurrent network's tensors at the boundary: shapes checked, made contiguous, turned into the kernels' pointers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/check.h"
#include "common/recurrent_kernels.h"

namespace mamrl {

// Weights that share one shape: the network's own, or a direction of them.
struct RecurrentTensors {
  Tensor gate_inputs, recurrent, head;
  std::optional<Tensor> states, bias, recurrent_bias;
  RecurrentShape shape;

  // of `gates` gates: 4 of an LSTM, 3 of a GRU, which has a recurrent bias
  template <class Device>
  RecurrentTensors(const Device& device, int64_t gates, const Tensor& gate_inputs_,
                   const std::optional<Tensor>& states_, const Tensor& recurrent_,
                   const std::optional<Tensor>& recurrent_bias_, const Tensor& head_,
                   const std::optional<Tensor>& bias_, const std::string& prefix = "")
      : gate_inputs(gate_inputs_),
        recurrent(recurrent_),
        head(head_),
        states(states_),
        bias(bias_),
        recurrent_bias(recurrent_bias_) {
    const std::string gates_text = std::to_string(gates) + "N";
    const auto name = [&](const char* argument) { return prefix + argument; };
    check_floating(name("gate_inputs").c_str(), gate_inputs);
    check_dtype(name("recurrent_weight").c_str(), recurrent, gate_inputs.scalar_type());
    check_dtype(name("head_weight").c_str(), head, gate_inputs.scalar_type());
    MAMRL_CHECK(recurrent.dim() == 3 && head.dim() == 3, name("recurrent_weight"), " and ", name("head_weight"),
                " have shapes ", shape_text(recurrent), " and ", shape_text(head), ", expected (M, ", gates_text,
                ", N) and (M, A, N)");
    const int64_t units = recurrent.size(2);
    MAMRL_CHECK(units > 0 && head.size(1) > 0, gates == 3 ? "a GRU" : "an LSTM",
                " needs at least one unit and one output");
    if (states) {
      MAMRL_CHECK(states->scalar_type() == ScalarType::Long && states->dim() == 3, "states must be int64 (T, M, K)");
      MAMRL_CHECK(gate_inputs.dim() == 3 && gate_inputs.size(1) > 0, name("gate_inputs"), " has shape ",
                  shape_text(gate_inputs), ", expected (M, S, ", gates_text, ") with states");
      shape = {states->size(0), states->size(1), states->size(2), units, head.size(1), gate_inputs.size(1)};
      check_shape(name("gate_inputs").c_str(), gate_inputs, {shape.chains, shape.rows, gates * units});
    } else {
      MAMRL_CHECK(gate_inputs.dim() == 4, name("gate_inputs"), " has shape ", shape_text(gate_inputs),
                  ", expected (T, M, K, ", gates_text, ") without states");
      shape = {gate_inputs.size(0), gate_inputs.size(1), gate_inputs.size(2), units, head.size(1), 0};
      check_shape(name("gate_inputs").c_str(), gate_inputs,
                  {shape.horizon, shape.chains, shape.trajectories, gates * units});
    }
    check_shape(name("recurrent_weight").c_str(), recurrent, {shape.chains, gates * units, units});
    check_shape(name("head_weight").c_str(), head, {shape.chains, shape.outputs, units});
    if (bias) {
      check_dtype(name("head_bias").c_str(), *bias, gate_inputs.scalar_type());
      check_shape(name("head_bias").c_str(), *bias, {shape.chains, shape.outputs});
    }
    if (recurrent_bias) {
      check_dtype(name("recurrent_bias").c_str(), *recurrent_bias, gate_inputs.scalar_type());
      check_shape(name("recurrent_bias").c_str(), *recurrent_bias, {shape.chains, units});
    }
    gate_inputs = row_major(gate_inputs), recurrent = row_major(recurrent), head = row_major(head);
    states = row_major(states), bias = row_major(bias), recurrent_bias = row_major(recurrent_bias);
    if (states) device.check_indices("states", *states, shape.rows);
  }

  template <class T>
  RecurrentWeights<T> weights() const {
    return {gate_inputs.const_data_ptr<T>(), data_or_null<int64_t>(states), recurrent.const_data_ptr<T>(),
            head.const_data_ptr<T>(),        data_or_null<T>(bias),         data_or_null<T>(recurrent_bias)};
  }

  int64_t padded() const { return padded_units(shape.units); }
  bool empty() const { return shape.horizon * shape.chains * shape.trajectories == 0; }

  // (T, M, K, ...) of these tensors' dtype
  template <class Device>
  Tensor new_steps(const Device& device, std::initializer_list<int64_t> trailing) const {
    std::vector<int64_t> size = {shape.horizon, shape.chains, shape.trajectories};
    size.insert(size.end(), trailing);
    return new_tensor(device, gate_inputs, size);
  }

  // contiguous, of the dtype and (T, M, K, ...) shape expected
  Tensor steps(const char* name, const Tensor& t, std::initializer_list<int64_t> trailing) const {
    check_dtype(name, t, gate_inputs.scalar_type());
    if (trailing.size() == 1) {
      check_shape(name, t, {shape.horizon, shape.chains, shape.trajectories, trailing.begin()[0]});
    } else {
      check_shape(name, t, {shape.horizon, shape.chains, shape.trajectories, trailing.begin()[0], trailing.begin()[1]});
    }
    return row_major(t);
  }
};

}  // namespace mamrl
