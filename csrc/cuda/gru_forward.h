// The GRU over recorded inputs: a block of trajectories through all of time.
#pragma once

#include "cuda/gru_block.h"

namespace mamrl {

// numbers of shared memory, see plan_block: h before and after the step
MAMRL_FN int64_t gru_forward_rows(const RecurrentShape& s) { return 2 * padded_units(s.units); }
MAMRL_FN int64_t gru_forward_weights(const RecurrentShape& s) { return 4 * s.units * padded_units(s.units); }
MAMRL_FN int64_t gru_forward_others(const RecurrentShape& s) { return s.outputs * padded_units(s.units); }

// packed: see pack_weights
template <class T>
__global__ void __launch_bounds__(kThreads)
    gru_forward_kernel(RecurrentForward<T> op, BlockPlan plan, const T* packed) {
  const RecurrentShape& s = op.shape;
  const int64_t padded = padded_units(s.units), size = gru_forward_weights(s);
  const int stride = plan.stride();
  const int64_t tasks = s.chains * plan.blocks(s.trajectories);
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const BlockPlace place(s, plan, task);
    SharedArrays<T> shared = {shared_memory<T>()};
    const T* const weights = place_weights(shared, plan.weights_in_shared, packed + place.chain * size, size);
    T *before = shared.take(padded * stride), *after = shared.take(padded * stride);
    T* const head = shared.take(s.outputs * padded);
    pad_by_block(head, op.weights.head + place.chain * s.outputs * s.units, s.outputs, s.units, padded);
    fill_by_block(before, padded * stride, T(0));
    __syncthreads();
    for (int64_t t = 0; t < s.horizon; ++t) {
      const int64_t index = place.index(s, t);
      for (int64_t item = threadIdx.x; item / padded * kTile < place.count; item += blockDim.x) {
        const int64_t unit = item % padded;
        const int first = static_cast<int>(item / padded) * kTile;
        T a[kTile][4] = {};
#pragma unroll
        for (int r = 0; r < kTile; ++r)
          if (first + r < place.count) load_gates(a[r], op.weights, s, place.chain, index + first + r, unit);
        add_product<kGruGates>(a, before + first, stride, weights + unit * 4, 4 * padded, s.units);
#pragma unroll
        for (int r = 0; r < kTile; ++r) {
          const int64_t at = unit * stride + first + r;
          const T reset = sigmoid(a[r][0]), update = sigmoid(a[r][1]), fresh = std::tanh(a[r][3] + reset * a[r][2]);
          const T h = gru_hidden(update, fresh, before[at]);
          after[at] = h;
          if (first + r >= place.count) continue;
          T* const row = op.saved + (index + first + r) * 5 * padded + unit;
          row[0] = reset;
          row[padded] = update;
          row[2 * padded] = fresh;
          row[3 * padded] = a[r][2];
          row[4 * padded] = h;
        }
      }
      __syncthreads();
      T* const last = before;
      before = after, after = last;
      for (int64_t item = threadIdx.x; item < place.count * s.outputs; item += blockDim.x) {
        const int64_t k = item % place.count, output = item / place.count;
        T sum = op.weights.bias[place.chain * s.outputs + output];
        for (int64_t unit = 0; unit < s.units; ++unit) sum += head[output * padded + unit] * before[unit * stride + k];
        op.outputs[(index + k) * s.outputs + output] = sum;
      }
    }
    __syncthreads();
  }
}

}  // namespace mamrl
