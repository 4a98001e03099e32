// One step forward of a block of trajectories: for the LSTM over recorded inputs, and for the rollout.
#pragma once

#include "cuda/lstm_block.h"

namespace mamrl {

// numbers of shared memory, see plan_block
MAMRL_FN int64_t forward_rows(const LstmShape& s) { return 3 * padded_units(s.units); }
MAMRL_FN int64_t forward_weights(const LstmShape& s) { return 4 * s.units * padded_units(s.units); }
MAMRL_FN int64_t forward_others(const LstmShape& s) { return s.outputs * padded_units(s.units); }

// A network of one chain in a block.
template <class T>
struct ForwardNetwork {
  int64_t units, padded, outputs;
  int stride;
  const T *weights, *bias;  // (N, P, 4), (A)
  T* head;                  // (A, P)
  T* hidden[2];             // (P, stride): before and after an even step; after and before an odd one
  T* cell;                  // (P, stride)

  // packed: see pack_weights; the block must wait before the first step
  __device__ ForwardNetwork(SharedArrays<T>& shared, const BlockPlan& plan, const LstmShape& s, const LstmWeights<T>& w,
                            const T* packed, int64_t chain)
      : units(s.units), padded(padded_units(s.units)), outputs(s.outputs), stride(plan.stride()) {
    const int64_t size = 4 * units * padded;
    weights = place_weights(shared, plan.weights_in_shared, packed + chain * size, size);
    head = shared.take(outputs * padded);
    pad_by_block(head, w.head + chain * outputs * units, outputs, units, padded);
    bias = w.bias + chain * outputs;
    for (T*& h : hidden) h = shared.take(padded * stride);
    cell = shared.take(padded * stride);
    fill_by_block(hidden[0], padded * stride, T(0));
    fill_by_block(cell, padded * stride, T(0));
  }

  // The step at time t of `count` trajectories; gate_inputs(gates, k, unit) gives what the inputs add; saved: this
  // step's rows (count, 5, P) or null. The block must wait before anything reads what it wrote.
  template <class GateInputs>
  __device__ void step(int64_t t, int count, const GateInputs& gate_inputs, T* saved) const {
    // not hidden[t % 2], which would put the pointers into local memory
    const T* const before = t % 2 ? hidden[1] : hidden[0];
    T* const after = t % 2 ? hidden[0] : hidden[1];
    for (int64_t item = threadIdx.x; item / padded * kTile < count; item += blockDim.x) {
      const int64_t unit = item % padded;
      const int first = static_cast<int>(item / padded) * kTile;
      T a[kTile][4] = {};
#pragma unroll
      for (int r = 0; r < kTile; ++r)
        if (first + r < count) gate_inputs(a[r], first + r, unit);
      add_product(a, before + first, stride, weights + unit * 4, 4 * padded, units);
#pragma unroll
      for (int r = 0; r < kTile; ++r) {
        const int64_t at = unit * stride + first + r;
        const Gates<T> y = {sigmoid(a[r][0]), sigmoid(a[r][1]), std::tanh(a[r][2]), sigmoid(a[r][3])};
        const T c = lstm_cell(y, cell[at]);
        cell[at] = c;
        after[at] = y.o * std::tanh(c);
        if (saved && first + r < count) {
          T* const row = saved + (first + r) * 5 * padded + unit;
          store_gates(row, padded, y);
          row[4 * padded] = c;
        }
      }
    }
  }

  // write(k, a, y): the outputs after the step at time t
  template <class Write>
  __device__ void apply_head(int64_t t, int count, const Write& write) const {
    const T* const state = t % 2 ? hidden[0] : hidden[1];
    for (int64_t item = threadIdx.x; item < count * outputs; item += blockDim.x) {
      const int64_t k = item % count, a = item / count;
      T sum = 0;
      for (int64_t unit = 0; unit < units; ++unit) sum += head[a * padded + unit] * state[unit * stride + k];
      write(k, a, sum + bias[a]);
    }
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads) lstm_forward_kernel(LstmForward<T> op, BlockPlan plan, const T* packed) {
  const LstmShape& s = op.shape;
  const int64_t tasks = s.chains * plan.blocks(s.trajectories);
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const BlockPlace place(s, plan, task);
    SharedArrays<T> shared = {shared_memory<T>()};
    const ForwardNetwork<T> net(shared, plan, s, op.weights, packed, place.chain);
    __syncthreads();
    for (int64_t t = 0; t < s.horizon; ++t) {
      const int64_t index = place.index(s, t);
      const auto gate_inputs = [&](T(&gates)[4], int k, int64_t unit) {
        load_gate_inputs(gates, op.weights, s, place.chain, index + k, unit);
      };
      net.step(t, place.count, gate_inputs, op.saved + index * 5 * net.padded);
      __syncthreads();
      net.apply_head(t, place.count, [&](int64_t k, int64_t a, T y) { op.outputs[(index + k) * s.outputs + a] = y; });
    }
    __syncthreads();
  }
}

}  // namespace mamrl
