// What the rollout kernel is called with: plain pointers, so that csrc/cpu/simd and the CUDA kernel need nothing of
// torch.
#pragma once

#include <cstdint>

#include "common/lstm_kernels.h"

namespace mamrl {

constexpr int64_t kMostPlayers = 8;

// A player's LSTM: the policy, or the value network that reads the same states.
template <class T>
struct RolloutNetwork {
  LstmShape shape;
  LstmWeights<T> weights;
  int64_t player;
  bool policy;
  T* outputs;  // (T, M, K, A)
  T* saved;    // (T, M, K, 5, P), or null
};

template <class T>
struct Rollout {
  int64_t players, horizon, chains, trajectories;
  int64_t actions[kMostPlayers];      // how many each player has
  int64_t joint_actions;              // their product
  const T* payoffs;                   // (n, joint actions), the first player's action slowest
  const int64_t* keys;                // (M, 2): seed, stream
  const T* logits[kMostPlayers];      // of a tabular player (M, S, A), else null
  const RolloutNetwork<T>* networks;  // grouped by player
  int64_t num_networks;
  int64_t *states, *joint;  // (n, T, M, K)
  T* rewards;               // (n, T, M, K)
};

}  // namespace mamrl
