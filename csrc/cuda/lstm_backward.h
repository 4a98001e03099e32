// The LSTM's backward pass over one block of trajectories: backwards over time, with the adjoints of the gates left in
// global memory, from which lstm_contract.h makes the gradients of the recurrent weights and of the gate table.
#pragma once

#include "cuda/lstm_block.h"

namespace mamrl {

// Four threads share a product over the gates' adjoints, one a gate; their shares are added in order.
constexpr int kGates = 4;

// numbers of shared memory, see plan_block: adjoints (4P), shares of a product (4P), what is carried to c (P), and the
// outputs' gradients (A)
MAMRL_FN int64_t backward_rows(const LstmShape& s) { return 9 * padded_units(s.units) + round_to_four(s.outputs); }
MAMRL_FN int64_t backward_weights(const LstmShape& s) { return 4 * padded_units(s.units) * padded_units(s.units); }
// the head, and its gradient by tile of trajectories with the bias behind it
MAMRL_FN int64_t head_gradient_size(const LstmShape& s) {
  return s.outputs * padded_units(s.units) + round_to_four(s.outputs);
}
MAMRL_FN int64_t backward_others(const LstmShape& s) {
  return s.outputs * padded_units(s.units) + kBlockTrajectories / kTile * head_gradient_size(s);
}

// share[gate] (P, stride) := sum over the units' adjoints of that gate (P, stride), times weights (P, P); or += where
// there is another product already.
template <class T>
__device__ inline void multiply_adjoints(T* shares, const T* adjoints, const T* weights, int64_t padded, int stride,
                                         int count, bool add) {
  const int64_t quads = padded / 4;
  for (int64_t item = threadIdx.x; item / quads / kGates * kTile < count; item += blockDim.x) {
    const int64_t column = item % quads * 4, gate = item / quads % kGates;
    const int first = static_cast<int>(item / quads / kGates) * kTile;
    T* const share = shares + (gate * padded + column) * stride + first;
    T tile[kTile][4] = {};
    if (add) {
#pragma unroll
      for (int c = 0; c < 4; ++c)
#pragma unroll
        for (int r = 0; r < kTile; ++r) tile[r][c] = share[c * stride + r];
    }
    add_product(tile, adjoints + gate * padded * stride + first, stride, weights + gate * padded * padded + column,
                padded, padded);
#pragma unroll
    for (int c = 0; c < 4; ++c)
#pragma unroll
      for (int r = 0; r < kTile; ++r) share[c * stride + r] = tile[r][c];
  }
}

// What has come to a unit of a trajectory: the shares in order, and the head's.
template <class T>
__device__ inline T gather_adjoint(const T* shares, int64_t padded, int64_t at, int stride, const T* head, int64_t unit,
                                   const T* grads, int64_t outputs) {
  T sum = 0;
  for (int64_t a = 0; a < outputs; ++a) sum += grads[a] * head[a * padded + unit];
#pragma unroll
  for (int gate = 0; gate < kGates; ++gate) sum += shares[gate * padded * stride + at];
  return sum;
}

// head_gradient (A, P) += grads x hidden of one unit and a tile of trajectories; the bias's stands behind it
template <class T>
__device__ inline void add_head_gradient(T* head_gradient, const T (&hidden)[kTile], const T* grads, int64_t outputs,
                                         int64_t padded, int64_t unit, int count) {
  for (int64_t a = 0; a < outputs; ++a) {
    T product = 0, sum = 0;
    for (int r = 0; r < count && r < kTile; ++r) {
      product += grads[r * outputs + a] * hidden[r];
      sum += grads[r * outputs + a];
    }
    head_gradient[a * padded + unit] += product;
    if (unit == 0) head_gradient[outputs * padded + a] += sum;
  }
}

// The tiles' head gradients, summed in their order.
template <class T>
__device__ inline void write_head_gradient(T* to, const T* head_gradients, int tiles, int64_t size) {
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    T sum = head_gradients[i];
    for (int tile = 1; tile < tiles; ++tile) sum += head_gradients[tile * size + i];
    to[i] = sum;
  }
}

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
      multiply_adjoints(shares, adjoints, weights, padded, stride, place.count, false);
      __syncthreads();
      for (int64_t item = threadIdx.x; item / padded * kTile < place.count; item += blockDim.x) {
        const int64_t unit = item % padded, tile = item / padded;
        const int first = static_cast<int>(tile) * kTile;
        const RowTile<T> saved(op.saved + (index + first) * 5 * padded + unit, padded, back, place.count - first);
        T hidden[kTile] = {};
#pragma unroll
        for (int r = 0; r < kTile; ++r) {
          const int k = first + r;
          if (k >= place.count) continue;
          const int64_t at = unit * stride + k, place_of = index + k;
          const Gates<T>& y = saved.gates[r];
          const T u = std::tanh(saved.cell[r]), p_c = saved.earlier_cell[r];
          const T m_h = gather_adjoint(shares, padded, at, stride, head, unit, grads + k * s.outputs, s.outputs);
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
