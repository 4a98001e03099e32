// The LSTM's backward pass over one block of trajectories: backwards over time, with the adjoints of the gates left in
// global memory, from which lstm_contract.h makes the gradients of the recurrent weights and of the gate table.
#pragma once

#include "cuda/lstm_block.h"
#include "cuda/recurrent_reverse.h"

namespace mamrl {

// numbers of shared memory, see plan_block: adjoints (4P), shares of a product (4P), what is carried to c (P), and the
// outputs' gradients (A)
MAMRL_FN int64_t backward_rows(const LstmShape& s) { return 9 * padded_units(s.units) + round_to_four(s.outputs); }
MAMRL_FN int64_t backward_weights(const LstmShape& s) { return 4 * padded_units(s.units) * padded_units(s.units); }

// The gate inputs' gradient where they are dense.
template <class T>
__device__ inline void store_dense(T* gate_inputs, const LstmShape& s, int64_t index, int64_t unit, const Gates<T>& a) {
  if (s.rows == 0 && unit < s.units) store_gates(gate_inputs + index * 4 * s.units + unit, s.units, a);
}

// padded_weights: times carry; gate_adjoints (T, M, K, 4P); head_gradients (tasks, A P + A)
template <class T>
__global__ void __launch_bounds__(kThreads)
    lstm_backward_kernel(LstmBackward<T> op, BlockPlan plan, const T* padded_weights, T* gate_adjoints,
                         T* head_gradients) {
  const LstmShape& s = op.shape;
  const int64_t padded = padded_units(s.units), step = s.chains * s.trajectories, head_size = head_gradient_size(s);
  const int stride = plan.stride(), tiles = plan.trajectories / kTile;
  const int64_t tasks = s.chains * plan.blocks(s.trajectories);
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const BlockPlace place(s, plan, task);
    SharedArrays<T> shared = {shared_memory<T>()};
    const T* const weights = place_weights(shared, plan.weights_in_shared,
                                           padded_weights + place.chain * 4 * padded * padded, 4 * padded * padded);
    T *const adjoints = shared.take(4 * padded * stride), *const shares = shared.take(4 * padded * stride);
    T *const carried = shared.take(padded * stride), *const grads = shared.take(round_to_four(s.outputs) * stride);
    T *const head = shared.take(s.outputs * padded), *const head_gradient = shared.take(tiles * head_size);
    pad_by_block(head, op.weights.head + place.chain * s.outputs * s.units, s.outputs, s.units, padded);
    fill_by_block(adjoints, 4 * padded * stride, T(0));
    fill_by_block(carried, padded * stride, T(0));
    fill_by_block(head_gradient, tiles * head_size, T(0));
    __syncthreads();
    for (int64_t t = s.horizon - 1; t >= 0; --t) {
      const int64_t index = place.index(s, t), back = t > 0 ? step * 5 * padded : 0;
      copy_by_block(grads, op.grad_outputs + index * s.outputs, place.count * s.outputs);
      multiply_adjoints<kLstmGates>(shares, adjoints, weights, padded, stride, place.count, false);
      __syncthreads();
      for (int64_t item = threadIdx.x; item / padded * kTile < place.count; item += blockDim.x) {
        const int64_t unit = item % padded, tile = item / padded;
        const int first = static_cast<int>(tile) * kTile;
        const RowTile<Gates, T> saved(op.saved + (index + first) * 5 * padded + unit, padded, back,
                                      place.count - first);
        T hidden[kTile] = {};
#pragma unroll
        for (int r = 0; r < kTile; ++r) {
          const int k = first + r;
          if (k >= place.count) continue;
          const int64_t at = unit * stride + k, place_of = index + k;
          const Gates<T>& y = saved.step[r];
          const T u = std::tanh(saved.state[r]), p_c = saved.earlier_state[r];
          const T m_h =
              gather_adjoint<kLstmGates>(shares, padded, at, stride, head, unit, grads + k * s.outputs, s.outputs);
          const T m_c = lstm_cell_adjoint(y, u, m_h, carried[at]);
          const Gates<T> a = lstm_gate_adjoints(y, p_c, u, m_h, m_c);
          carried[at] = op.carry * (m_c * y.f);
          hidden[r] = y.o * u;
          store_gates(adjoints + at, padded * stride, a);
          store_gates(gate_adjoints + place_of * 4 * padded + unit, padded, a);
          store_dense(op.gradients.gate_inputs, s, place_of, unit, a);
          op.adjoints[place_of * padded + unit] = m_h;
        }
        add_head_gradient(head_gradient + tile * head_size, hidden, grads + first * s.outputs, s.outputs, padded, unit,
                          place.count - first);
      }
      __syncthreads();
    }
    write_head_gradient(head_gradients + task * head_size, head_gradient, tiles, head_size);
    __syncthreads();
  }
}

}  // namespace mamrl
