// What the backward passes of recurrent networks share: the adjoints of a step's G gates go back to the step before
// through the weights, G threads a product, one a gate; their shares are added in order.
#pragma once

#include "cuda/recurrent_block.h"

namespace mamrl {

// the head's gradient with the bias's behind it
MAMRL_FN int64_t head_gradient_size(const RecurrentShape& s) {
  return s.outputs * padded_units(s.units) + round_to_four(s.outputs);
}
// numbers of shared memory, see plan_block: the head, and its gradient by tile of trajectories
MAMRL_FN int64_t reverse_others(const RecurrentShape& s) {
  return s.outputs * padded_units(s.units) + kBlockTrajectories / kTile * head_gradient_size(s);
}

// share[gate] (P, stride) := sum over the units' adjoints of that gate (P, stride), times weights (P, P); or += where
// there is another product already.
template <int kGates, class T>
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
template <int kGates, class T>
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

}  // namespace mamrl
