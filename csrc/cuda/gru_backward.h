// The GRU's backward pass over one block of trajectories: backwards over time, with the adjoints of r, z, q and n left
// in global memory, from which gru_contract.h makes the weights' gradients.
#pragma once

#include "cuda/gru_block.h"
#include "cuda/recurrent_reverse.h"

namespace mamrl {

// numbers of shared memory, see plan_block: adjoints (3P), shares of a product (3P), what is carried to h (P), and the
// outputs' gradients (A)
MAMRL_FN int64_t gru_backward_rows(const RecurrentShape& s) {
  return 7 * padded_units(s.units) + round_to_four(s.outputs);
}
MAMRL_FN int64_t gru_backward_weights(const RecurrentShape& s) {
  return kGruGates * padded_units(s.units) * padded_units(s.units);
}

// The gate inputs' gradient where they are dense.
template <class T>
__device__ inline void store_dense(T* gate_inputs, const RecurrentShape& s, int64_t index, int64_t unit,
                                   const GruChanges<T>& a) {
  if (s.rows > 0 || unit >= s.units) return;
  T* const row = gate_inputs + index * kGruGates * s.units + unit;
  row[0] = a.r;
  row[s.units] = a.z;
  row[2 * s.units] = a.n;
}

// of r, z and q, through which an adjoint goes back to the step before
template <class T>
__device__ inline void keep_adjoints(T* adjoints, int64_t stride, const GruChanges<T>& a) {
  adjoints[0] = a.r;
  adjoints[stride] = a.z;
  adjoints[2 * stride] = a.q;
}

// padded_weights: times carry; gate_adjoints (T, M, K, 4P); head_gradients (tasks, A P + A)
template <class T>
__global__ void __launch_bounds__(kThreads)
    gru_backward_kernel(RecurrentBackward<T> op, BlockPlan plan, const T* padded_weights, T* gate_adjoints,
                        T* head_gradients) {
  const RecurrentShape& s = op.shape;
  const int64_t padded = padded_units(s.units), step = s.chains * s.trajectories, head_size = head_gradient_size(s);
  const int64_t size = gru_backward_weights(s);
  const int stride = plan.stride(), tiles = plan.trajectories / kTile;
  const int64_t tasks = s.chains * plan.blocks(s.trajectories);
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const BlockPlace place(s, plan, task);
    SharedArrays<T> shared = {shared_memory<T>()};
    const T* const weights = place_weights(shared, plan.weights_in_shared, padded_weights + place.chain * size, size);
    T *const adjoints = shared.take(kGruGates * padded * stride), *const shares =
                                                                      shared.take(kGruGates * padded * stride);
    T *const carried = shared.take(padded * stride), *const grads = shared.take(round_to_four(s.outputs) * stride);
    T *const head = shared.take(s.outputs * padded), *const head_gradient = shared.take(tiles * head_size);
    pad_by_block(head, op.weights.head + place.chain * s.outputs * s.units, s.outputs, s.units, padded);
    fill_by_block(adjoints, kGruGates * padded * stride, T(0));
    fill_by_block(carried, padded * stride, T(0));
    fill_by_block(head_gradient, tiles * head_size, T(0));
    __syncthreads();
    for (int64_t t = s.horizon - 1; t >= 0; --t) {
      const int64_t index = place.index(s, t), back = t > 0 ? step * 5 * padded : 0;
      copy_by_block(grads, op.grad_outputs + index * s.outputs, place.count * s.outputs);
      multiply_adjoints<kGruGates>(shares, adjoints, weights, padded, stride, place.count, false);
      __syncthreads();
      for (int64_t item = threadIdx.x; item / padded * kTile < place.count; item += blockDim.x) {
        const int64_t unit = item % padded, tile = item / padded;
        const int first = static_cast<int>(tile) * kTile;
        const RowTile<GruStep, T> saved(op.saved + (index + first) * 5 * padded + unit, padded, back,
                                        place.count - first);
        T hidden[kTile] = {};
#pragma unroll
        for (int r = 0; r < kTile; ++r) {
          const int k = first + r;
          if (k >= place.count) continue;
          const int64_t at = unit * stride + k, place_of = index + k;
          const GruStep<T>& y = saved.step[r];
          const T m_h = carried[at] + gather_adjoint<kGruGates>(shares, padded, at, stride, head, unit,
                                                                grads + k * s.outputs, s.outputs);
          const GruChanges<T> m = gru_adjoints(y, saved.earlier_state[r], m_h);
          carried[at] = op.carry * (y.z * m_h);
          hidden[r] = saved.state[r];
          keep_adjoints(adjoints + at, padded * stride, m);
          store_changes(gate_adjoints + place_of * 4 * padded + unit, padded, m);
          store_dense(op.gradients.gate_inputs, s, place_of, unit, m);
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
