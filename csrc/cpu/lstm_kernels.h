// What the LSTM kernels are called with: plain pointers, so that csrc/cpu/simd needs nothing of torch.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

struct LstmShape {
  int64_t horizon, chains, trajectories, units, outputs;
  int64_t rows;  // of the gate table; 0 where the gate inputs are dense
};

// Units are padded to a multiple of any level's lanes: a padded unit has zero weights and stays zero.
MAMRL_FN int64_t padded_units(int64_t units) { return (units + 15) / 16 * 16; }

// Trajectories that advance together: enough that a panel of weights is used often while it lies in L1.
constexpr int64_t kTrajectoryBlock = 32;

// A chain's trajectories are cut into parts that depend on their number only, so that the weight gradients,
// summed part by part in order, are the same at any thread count.
constexpr int64_t kMostParts = 16;

MAMRL_FN int64_t num_blocks(int64_t trajectories) { return (trajectories + kTrajectoryBlock - 1) / kTrajectoryBlock; }
MAMRL_FN int64_t num_parts(int64_t trajectories) {
  const int64_t blocks = num_blocks(trajectories);
  return blocks < kMostParts ? blocks : kMostParts;
}

// A part's share of the weight gradients, padded: recurrent (4P, P), table (rows, 4P), head (A, P), bias (A).
MAMRL_FN int64_t partial_size(const LstmShape& s) {
  const int64_t padded = padded_units(s.units);
  return 4 * padded * padded + s.rows * 4 * padded + s.outputs * padded + (s.outputs + 15) / 16 * 16;
}

// gate_inputs (M, S, 4N) read at states (T, M, K), or dense (T, M, K, 4N); recurrent (M, 4N, N); head (M, A,
// N)
template <class T>
struct LstmWeights {
  const T* gate_inputs;
  const int64_t* states;
  const T* recurrent;
  const T* head;
  const T* bias;
};

template <class T>
struct LstmForward {
  LstmShape shape;
  LstmWeights<T> weights;
  T* outputs;  // (T, M, K, A)
  T* saved;    // (T, M, K, 5, P): i, f, g, o, c
};

template <class T>
struct LstmBackward {
  LstmShape shape;
  LstmWeights<T> weights;
  const T* grad_outputs;
  const T* saved;
  T* grad_dense;  // (T, M, K, 4N), where the gate inputs are dense
  T* adjoints;    // (T, M, K, P): of h; those of c follow from them
  T* partials;    // (M, parts, partial_size)
};

template <class T>
struct LstmDoubleBackward {
  LstmShape shape;
  LstmWeights<T> weights, direction;
  const T* grad_outputs;
  const T* saved;
  const T* adjoints;
  T* grad_grad_outputs;  // (T, M, K, A)
  T* grad_dense;
  T* partials;
};

}  // namespace mamrl
