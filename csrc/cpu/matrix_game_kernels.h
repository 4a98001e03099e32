// What the kernels of matrix games as environments are called with: E environments side by side as columns.
#pragma once

#include <cstdint>

#include "common/matrix_game.h"
#include "common/rollout_kernels.h"

namespace mamrl {

// What `elapsed` may be before the steps: a waiting episode stands at its length, others below it.
inline int64_t most_elapsed_before(int64_t horizon, int64_t length, Autoreset autoreset) {
  if (length == 0) return INT32_MAX;
  if (autoreset == Autoreset::kDisabled) return length - horizon;
  return autoreset == Autoreset::kSameStep ? length - 1 : length;
}

// T steps of every environment; actions, states and rewards (n, T, E).
template <class T, class Index>
struct GameColumns {
  int64_t players, horizon, columns;
  int64_t action_counts[kMostPlayers];
  int64_t joint_actions;
  const T* payoffs;  // (n, joint actions), the first player's action slowest
  const Index* actions;
  Index *states, *final_states;  // the latter null but for kSameStep
  T* rewards;
  bool* truncations;  // (T, E)
  int32_t* elapsed;   // (E), updated in place
  int32_t length;     // 0: episodes do not end
  Autoreset autoreset;

  int64_t most_elapsed() const { return most_elapsed_before(horizon, length, autoreset); }
};

// One player's actions, drawn from probabilities (R, S, A) at rows and states (E).
template <class T, class Index>
struct TabularColumns {
  int64_t columns, num_rows, num_states, num_actions, player;
  const T* probabilities;
  const Index* states;
  const int64_t* rows;            // null: row 0 for all
  const int64_t *seeds, *clocks;  // both null: nothing is random
  Index* actions;
};

}  // namespace mamrl
