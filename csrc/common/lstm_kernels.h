// What the LSTM kernels are called with: plain pointers, so that csrc/cpu/simd and the CUDA kernels need nothing of
// torch.
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

// Gradients of the weights, in their shapes; gate_inputs (M, S, 4N), or (T, M, K, 4N) where they are dense.
template <class T>
struct LstmGradients {
  T *gate_inputs, *recurrent, *head, *bias;
};

// carry: the share of a gradient that passes from a step's state to the state before it, 1 for the exact derivative.
template <class T>
struct LstmBackward {
  LstmShape shape;
  T carry;
  LstmWeights<T> weights;
  const T* grad_outputs;
  const T* saved;
  T* adjoints;  // (T, M, K, P): of h; those of c follow from them
  LstmGradients<T> gradients;
};

template <class T>
struct LstmDoubleBackward {
  LstmShape shape;
  T carry;
  LstmWeights<T> weights, direction;
  const T* grad_outputs;
  const T* saved;
  const T* adjoints;
  T* grad_grad_outputs;  // (T, M, K, A)
  LstmGradients<T> gradients;
};

}  // namespace mamrl
