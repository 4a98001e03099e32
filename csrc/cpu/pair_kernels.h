// What the kernels of networks over pairs of policies are called with.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

// Pairs that pass the network together: player 1's rows, then player 2's. A block's activations stay in L2.
constexpr int64_t kPairBlock = 32;
constexpr int64_t kPairRows = 2 * kPairBlock;

// The weight gradients are summed in parts that depend on the batch only, so that they are the same at any thread
// count.
constexpr int64_t kMostPairParts = 8;

constexpr int64_t kMostPairLayers = 64;

enum class PairActivation : int64_t { none, gelu, tanh };

// Signal 0 is a player's policy, 1 its discount, 2 + l the output of layer l:
//
//   z = activation(norm(W [source, beside] + bias)),   or, with a skip,   s(gate) skip + (1 - s(gate)) z
//
// In `weights`, from `offset` on: W (units, inputs), bias, then norm's weight and bias, then gate, as far as they are
// there. With roles there is a W for each player, and nothing else.
struct PairLayer {
  int64_t source, beside;  // -1: nothing beside
  bool swapped;            // beside is the other player's
  int64_t units;
  PairActivation activation;
  bool norm;
  int64_t skip;  // -1: none
  bool roles;
  // derived
  int64_t source_units, inputs, offset;
  bool follows;  // depends on the player's own policy otherwise than through the other player

  MAMRL_FN int64_t bias(const PairLayer& l) { return l.offset + l.units * l.inputs; }
  MAMRL_FN int64_t norm_weight(const PairLayer& l) { return bias(l) + l.units; }
  MAMRL_FN int64_t gate(const PairLayer& l) { return norm_weight(l) + (l.norm ? 2 * l.units : 0); }
};

// What is null is not computed. Shapes: weights (P), x (2, B, D), gamma (2, B), signs (2, B, units of the layer before
// the last), outputs and grad_outputs (2, B, Q), gradient (2, B, D), partials (parts, P).
template <class T>
struct PairNetwork {
  int64_t batch, policy_size, num_layers, num_weights;
  const PairLayer* layers;
  const T* weights;
  const T* x;
  const T* gamma;
  T* outputs;
  // each player's mean output differentiated in its own policy; signs flip the last units' share
  T* gradient;
  const T* signs;
  // the weights' gradient
  const T* grad_outputs;
  T* partials;

  MAMRL_FN int64_t blocks(const PairNetwork& op) { return (op.batch + kPairBlock - 1) / kPairBlock; }
  // tasks that the kernel is cut into
  MAMRL_FN int64_t parts(const PairNetwork& op) {
    return op.partials && blocks(op) > kMostPairParts ? kMostPairParts : blocks(op);
  }
};

}  // namespace mamrl
