// The LSTM with its output layer: forward, backward, double backward. The loops are in csrc/cpu/simd.
#include "ops/lstm.h"

#include <torch/csrc/stable/library.h>

#include "cpu/device.h"
#include "cpu/lstm_parts.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"

namespace mamrl {
namespace {

// one a part of a chain's trajectories
int64_t num_tasks(const LstmShape& s) { return s.chains * num_parts(s.trajectories); }

// Sums each chain's parts in their order.
template <class T>
void sum_parts(const LstmShape& s, const T* partials, const LstmGradients<T>& grads) {
  const int64_t padded = padded_units(s.units), size = partial_size(s), parts = num_parts(s.trajectories);
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
      for (int64_t gate = 0; gate < 4; ++gate) {
        add_up(grads.recurrent + (4 * m + gate) * s.units * s.units, s.units, s.units, padded);
        from += (padded - s.units) * padded;
      }
      // dense gate inputs have no rows here: their gradient is written step by step
      add_up(grads.gate_inputs + m * s.rows * 4 * s.units, s.rows * 4, s.units, padded);
      add_up(grads.head + m * s.outputs * s.units, s.outputs, s.units, padded);
      add_up(grads.bias + m * s.outputs, 1, s.outputs, s.outputs);
    }
  });
}

struct Device : Cpu {
  using Cpu::Cpu;

  template <class T>
  void run(const LstmForward<T>& op, const Tensor&) const {
    const LstmShape& s = op.shape;
    const SimdKernels<T>& simd = simd_kernels<T>();
    run_tasks(num_tasks(s), simd.lstm_forward_scratch(s),
              [&](int64_t first, int64_t last, char* memory) { simd.lstm_forward(op, first, last, memory); });
  }

  template <class T>
  void run(const LstmBackward<T>& backward, const Tensor& like) const {
    const Tensor partials = new_partials(backward.shape, like);
    const LstmBackwardParts<T> op = {backward, partials.mutable_data_ptr<T>()};
    const SimdKernels<T>& simd = simd_kernels<T>();
    run_tasks(num_tasks(op.shape), simd.lstm_backward_scratch(op.shape),
              [&](int64_t first, int64_t last, char* memory) { simd.lstm_backward(op, first, last, memory); });
    sum_parts<T>(op.shape, op.partials, op.gradients);
  }

  template <class T>
  void run(const LstmDoubleBackward<T>& backward, const Tensor& like) const {
    const Tensor partials = new_partials(backward.shape, like);
    const LstmDoubleBackwardParts<T> op = {backward, partials.mutable_data_ptr<T>()};
    const SimdKernels<T>& simd = simd_kernels<T>();
    run_tasks(num_tasks(op.shape), simd.lstm_double_backward_scratch(op.shape),
              [&](int64_t first, int64_t last, char* memory) { simd.lstm_double_backward(op, first, last, memory); });
    sum_parts<T>(op.shape, op.partials, op.gradients);
  }

 private:
  static Tensor new_partials(const LstmShape& s, const Tensor& like) {
    return new_tensor(Cpu(), like, {num_tasks(s), partial_size(s)});
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("lstm", TORCH_BOX(&mamrl::lstm<mamrl::Device>));
  m.impl("lstm_recorded", TORCH_BOX(&mamrl::lstm_recorded<mamrl::Device>));
  m.impl("lstm_backward", TORCH_BOX(&mamrl::lstm_backward<mamrl::Device>));
  m.impl("lstm_double_backward", TORCH_BOX(&mamrl::lstm_double_backward<mamrl::Device>));
}
