// What the LSTM's and the GRU's kernels are called with: plain pointers, so that csrc/cpu/simd and the CUDA kernels
// need nothing of torch.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

struct RecurrentShape {
  int64_t horizon, chains, trajectories, units, outputs;
  int64_t rows;  // of the gate table; 0 where the gate inputs are dense
};

// Units are padded to a multiple of any level's lanes: a padded unit has zero weights and stays zero.
MAMRL_FN int64_t padded_units(int64_t units) { return (units + 15) / 16 * 16; }

// G gates: gate_inputs (M, S, GN) read at states (T, M, K), or dense (T, M, K, GN); recurrent (M, GN, N); head (M, A,
// N)
template <class T>
struct RecurrentWeights {
  const T* gate_inputs;
  const int64_t* states;
  const T* recurrent;
  const T* head;
  const T* bias;
  const T* recurrent_bias = nullptr;  // (M, N), a GRU's
};

template <class T>
struct RecurrentForward {
  RecurrentShape shape;
  RecurrentWeights<T> weights;
  T* outputs;  // (T, M, K, A)
  T* saved;    // (T, M, K, 5, P): an LSTM's i, f, g, o, c, a GRU's r, z, n, q, h
};

// Gradients of the weights, in their shapes; gate_inputs (M, S, GN), or (T, M, K, GN) where they are dense.
template <class T>
struct RecurrentGradients {
  T *gate_inputs, *recurrent, *head, *bias;
  T* recurrent_bias = nullptr;
};

// carry: the share of a gradient that passes from a step's state to the state before it, 1 for the exact derivative.
template <class T>
struct RecurrentBackward {
  RecurrentShape shape;
  T carry;
  RecurrentWeights<T> weights;
  const T* grad_outputs;
  const T* saved;
  T* adjoints;  // (T, M, K, P): of h; all others follow from them
  RecurrentGradients<T> gradients;
};

template <class T>
struct RecurrentDoubleBackward {
  RecurrentShape shape;
  T carry;
  RecurrentWeights<T> weights, direction;
  const T* grad_outputs;
  const T* saved;
  const T* adjoints;
  T* grad_grad_outputs;  // (T, M, K, A)
  RecurrentGradients<T> gradients;
};

}  // namespace mamrl
