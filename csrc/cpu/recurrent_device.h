// A recurrent network's passes on the CPU: tasks over torch's threads, then the parts' shares of the weight gradients
// added up.
#pragma once

#include "common/gru_kernels.h"
#include "common/lstm_kernels.h"
#include "cpu/device.h"
#include "cpu/parallel.h"
#include "cpu/recurrent_parts.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"

namespace mamrl {

// one task a part of a chain's trajectories
inline int64_t num_tasks(const RecurrentShape& s) { return s.chains * num_parts(s.trajectories); }

// Sums each chain's parts in their order.
template <class T>
void sum_parts(const RecurrentShape& s, int64_t gates, const T* partials, const RecurrentGradients<T>& grads) {
  const int64_t padded = padded_units(s.units), size = partial_size(s, gates), parts = num_parts(s.trajectories);
  parallel_for(0, s.chains, 1, [&](int64_t first, int64_t last) {
    for (int64_t m = first; m < last; ++m) {
      const T* from = partials + m * parts * size;
      const auto add_up = [&](T* to, int64_t rows, int64_t columns, int64_t from_columns) {
        for (int64_t r = 0; r < rows; ++r, to += columns, from += from_columns) {
          for (int64_t j = 0; j < columns; ++j) to[j] = from[j];
          for (int64_t part = 1; part < parts; ++part) {
            for (int64_t j = 0; j < columns; ++j) to[j] += from[part * size + j];
          }
        }
      };
      for (int64_t gate = 0; gate < gates; ++gate) {
        add_up(grads.recurrent + (gates * m + gate) * s.units * s.units, s.units, s.units, padded);
        from += (padded - s.units) * padded;
      }
      // dense gate inputs have no rows here: their gradient is written step by step
      add_up(grads.gate_inputs + m * s.rows * gates * s.units, s.rows * gates, s.units, padded);
      add_up(grads.head + m * s.outputs * s.units, s.outputs, s.units, padded);
      add_up(grads.bias + m * s.outputs, 1, s.outputs, (s.outputs + 15) / 16 * 16);
      if (grads.recurrent_bias) add_up(grads.recurrent_bias + m * s.units, 1, s.units, padded);
    }
  });
}

template <int kGates>
struct RecurrentDevice : Cpu {
  using Cpu::Cpu;

  template <class T>
  void run(const RecurrentForward<T>& op, const Tensor&) const {
    const RecurrentPasses<T>& simd = passes<T>();
    run_tasks(num_tasks(op.shape), simd.forward_scratch(op.shape),
              [&](int64_t first, int64_t last, char* memory) { simd.forward(op, first, last, memory); });
  }

  template <class T>
  void run(const RecurrentBackward<T>& backward, const Tensor& like) const {
    const Tensor partials = new_partials(backward.shape, like);
    const RecurrentBackwardParts<T> op = {backward, partials.mutable_data_ptr<T>()};
    const RecurrentPasses<T>& simd = passes<T>();
    run_tasks(num_tasks(op.shape), simd.backward_scratch(op.shape),
              [&](int64_t first, int64_t last, char* memory) { simd.backward(op, first, last, memory); });
    sum_parts(op.shape, kGates, op.partials, op.gradients);
  }

  template <class T>
  void run(const RecurrentDoubleBackward<T>& backward, const Tensor& like) const {
    const Tensor partials = new_partials(backward.shape, like);
    const RecurrentDoubleBackwardParts<T> op = {backward, partials.mutable_data_ptr<T>()};
    const RecurrentPasses<T>& simd = passes<T>();
    run_tasks(num_tasks(op.shape), simd.double_backward_scratch(op.shape),
              [&](int64_t first, int64_t last, char* memory) { simd.double_backward(op, first, last, memory); });
    sum_parts(op.shape, kGates, op.partials, op.gradients);
  }

 private:
  template <class T>
  static const RecurrentPasses<T>& passes() {
    if constexpr (kGates == kLstmGates)
      return simd_kernels<T>().lstm;
    else
      return simd_kernels<T>().gru;
  }

  static Tensor new_partials(const RecurrentShape& s, const Tensor& like) {
    return new_tensor(Cpu(), like, {num_tasks(s), partial_size(s, kGates)});
  }
};

}  // namespace mamrl
