// How the CPU's kernels of recurrent networks cut a chain's trajectories, and what each part leaves to be summed.
#pragma once

#include <cstdint>

#include "common/recurrent_kernels.h"

namespace mamrl {

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

// A part's share of the weight gradients, padded, G gates: recurrent (GP, P), table (rows, GP), head (A, P), bias (A),
// recurrent bias (P).
MAMRL_FN int64_t partial_size(const RecurrentShape& s, int64_t gates) {
  const int64_t padded = padded_units(s.units);
  return (gates * padded + s.rows * gates + s.outputs + 1) * padded + (s.outputs + 15) / 16 * 16;
}

// An op with its parts' shares (M, parts, partial_size), which are zeroed first.
template <class Op, class T>
struct InParts : Op {
  T* partials;

  // (T, M, K, GN), where the gate inputs are dense
  T* grad_dense() const { return Op::shape.rows ? nullptr : Op::gradients.gate_inputs; }
};

template <class T>
using RecurrentBackwardParts = InParts<RecurrentBackward<T>, T>;
template <class T>
using RecurrentDoubleBackwardParts = InParts<RecurrentDoubleBackward<T>, T>;

}  // namespace mamrl
