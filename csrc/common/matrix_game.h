// The n-player matrix game: joint actions as numbers, what each player sees, and how an action is drawn.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

// 1 + the joint action in mixed radix as `player` sees it: its own action first, then the others' in their
// order. actions of one game lie `stride` apart.
MAMRL_FN int64_t joint_state(const int64_t* actions, int64_t stride, const int64_t* action_counts, int64_t players,
                             int64_t player) {
  int64_t state = actions[player * stride];
  for (int64_t other = 0; other < players; ++other) {
    if (other != player) state = state * action_counts[other] + actions[other * stride];
  }
  return state + 1;
}

// The place of a joint action in a payoff tensor (A_1, ..., A_n).
MAMRL_FN int64_t payoff_index(const int64_t* actions, int64_t stride, const int64_t* action_counts, int64_t players) {
  int64_t index = 0;
  for (int64_t player = 0; player < players; ++player) index = index * action_counts[player] + actions[player * stride];
  return index;
}

// The first action at which the cumulated weight exceeds uniform * total.
template <class T>
MAMRL_FN int64_t draw(const T* cumulated, int64_t actions, T uniform) {
  const T reached = uniform * cumulated[actions - 1];
  int64_t action = 0;
  for (int64_t a = 0; a + 1 < actions; ++a) action += cumulated[a] <= reached;
  return action;
}

// The same from unnormalised log-probabilities, without memory for what is cumulated.
template <class T>
MAMRL_FN int64_t draw_from_logits(const T* logits, int64_t actions, T uniform) {
  T most = logits[0], total = 0, cumulated = 0;
  for (int64_t a = 1; a < actions; ++a) most = logits[a] > most ? logits[a] : most;
  for (int64_t a = 0; a < actions; ++a) total += std::exp(logits[a] - most);
  const T reached = uniform * total;
  int64_t action = 0;
  for (int64_t a = 0; a + 1 < actions; ++a) {
    cumulated += std::exp(logits[a] - most);
    action += cumulated <= reached;
  }
  return action;
}

}  // namespace mamrl
