// The n-player matrix game: joint actions as numbers, what each player sees, and how an action is drawn.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

// 1 + the joint action in mixed radix as `player` sees it: its own action first, then the others' in their
// order. actions of one game lie `stride` apart; Index holds every state.
template <class Index>
MAMRL_FN Index joint_state(const Index* actions, int64_t stride, const int64_t* action_counts, int64_t players,
                           int64_t player) {
  Index state = actions[player * stride];
  for (int64_t other = 0; other < players; ++other) {
    if (other != player) {
      state = static_cast<Index>(state * static_cast<Index>(action_counts[other]) + actions[other * stride]);
    }
  }
  return static_cast<Index>(state + 1);
}

// The place of a joint action in a payoff tensor (A_1, ..., A_n).
template <class Index>
MAMRL_FN int64_t payoff_index(const Index* actions, int64_t stride, const int64_t* action_counts, int64_t players) {
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

// The same of probabilities that are not cumulated and need not sum to one.
template <class T>
MAMRL_FN int64_t draw_weighted(const T* weights, int64_t actions, T uniform) {
  T total = 0;
  for (int64_t a = 0; a < actions; ++a) total += weights[a];
  const T reached = uniform * total;
  T cumulated = 0;
  int64_t action = 0;
  for (int64_t a = 0; a + 1 < actions; ++a) {
    cumulated += weights[a];
    action += cumulated <= reached;
  }
  return action;
}

// The same of unnormalised log-probabilities.
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

// ---- episodes: `elapsed` counts the steps of the current one, which is truncated when it reaches `length` ----

// What happens to an environment whose episode has ended.
enum class Autoreset : int64_t {
  kNextStep,  // the next step ignores its action and starts a new episode, with reward 0
  kSameStep,  // the step that ends an episode starts the next
  kDisabled,  // it is not to be stepped until it is reset
};

// elapsed after a step that may start an episode instead of playing; 0 says that it did
MAMRL_FN int32_t elapsed_next_step(int32_t elapsed, int32_t length) { return elapsed == length ? 0 : elapsed + 1; }

}  // namespace mamrl
