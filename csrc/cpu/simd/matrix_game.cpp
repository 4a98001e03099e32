// Matrix games as environments: a row of the block's environments at a time, all of time while the block is in L1.
#include "common/matrix_game.h"
#include "common/philox.h"
#include "common/table.h"
#include "cpu/matrix_game_kernels.h"
#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {

template <class Index>
MAMRL_FN bool row_in_range(const Index* __restrict__ actions, int64_t count, int64_t begin, int64_t end) {
  if constexpr (sizeof(Index) == 1) {
    uint8_t largest = 0;
    for (int64_t i = begin; i < end; ++i) largest = actions[i] > largest ? actions[i] : largest;
    return begin == end || largest < count;
  } else {
    int64_t signs = 0;
    for (int64_t i = begin; i < end; ++i) signs |= outside(actions[i], count);
    return signs >= 0;
  }
}

// kPlayers is 0 where it is known only at run time. Two players with two actions choose among four payoffs in
// registers, others read theirs from memory.
template <int64_t kPlayers, bool kTwoByTwo, class T, class Index>
MAMRL_FN void play_row(const GameColumns<T, Index>& op, int64_t first, int64_t count) {
  const int64_t players = kPlayers ? kPlayers : op.players, stride = op.horizon * op.columns;
  const Index* __restrict__ actions = op.actions + first;
  for (int64_t p = 0; p < players; ++p) {
    Index* __restrict__ states = op.states + p * stride + first;
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) states[i] = joint_state(actions + i, stride, op.action_counts, players, p);
  }
  for (int64_t p = 0; p < players; ++p) {
    T* __restrict__ rewards = op.rewards + p * stride + first;
    const T* __restrict__ payoffs = op.payoffs + p * op.joint_actions;
    if constexpr (kTwoByTwo) {
      const T cc = payoffs[0], cd = payoffs[1], dc = payoffs[2], dd = payoffs[3];
      const Index* __restrict__ other = actions + stride;
#pragma GCC ivdep
      for (int64_t i = 0; i < count; ++i) {
        const T after_c = other[i] ? cd : cc, after_d = other[i] ? dd : dc;
        rewards[i] = actions[i] ? after_d : after_c;
      }
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < count; ++i) {
        rewards[i] = payoffs[payoff_index(actions + i, stride, op.action_counts, players)];
      }
    }
  }
}

// Environments whose episode had ended start the next one: what the row has played is not theirs.
template <class T, class Index>
MAMRL_FN void end_row_next_step(const GameColumns<T, Index>& op, int64_t row, int64_t begin, int64_t end) {
  int32_t* __restrict__ elapsed = op.elapsed;
  bool* __restrict__ truncations = op.truncations + row;
  const int32_t length = op.length;
  int32_t started = 0;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    const int32_t after = elapsed_next_step(elapsed[i], length);
    elapsed[i] = after;
    truncations[i] = after == length;
    started |= after == 0;
  }
  if (!started) return;
  for (int64_t p = 0; p < op.players; ++p) {
    const int64_t first = p * op.horizon * op.columns + row;
    for (int64_t i = begin; i < end; ++i) {
      if (elapsed[i] != 0) continue;
      op.states[first + i] = 0;
      op.rewards[first + i] = 0;
    }
  }
}

// Environments whose episode ends start the next one at once; final_states keeps what they reached.
template <bool kAutoreset, class T, class Index>
MAMRL_FN void end_row(const GameColumns<T, Index>& op, int64_t row, int64_t begin, int64_t end) {
  int32_t* __restrict__ elapsed = op.elapsed;
  bool* __restrict__ truncations = op.truncations + row;
  const int32_t length = op.length;
  int32_t ended = 0;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    const int32_t after = elapsed[i] + 1;
    const bool truncated = after == length;
    truncations[i] = truncated;
    elapsed[i] = kAutoreset && truncated ? 0 : after;
    ended |= truncated;
  }
  if (!kAutoreset) return;
  for (int64_t p = 0; p < op.players; ++p) {
    const int64_t first = p * op.horizon * op.columns + row;
    copy(op.final_states + first + begin, op.states + first + begin, end - begin);
    if (!ended) continue;
    for (int64_t i = begin; i < end; ++i) {
      if (truncations[i]) op.states[first + i] = 0;
    }
  }
}

// Whether every environment of the block may take the steps asked for.
template <class T, class Index>
MAMRL_FN bool elapsed_in_range(const GameColumns<T, Index>& op, int64_t begin, int64_t end) {
  const int32_t most = static_cast<int32_t>(op.most_elapsed());
  int32_t signs = 0;
  for (int64_t i = begin; i < end; ++i) signs |= op.elapsed[i] | (most - op.elapsed[i]);
  return signs >= 0;
}

template <class T, class Index>
bool game_steps(const GameColumns<T, Index>& op, int64_t begin, int64_t end) {
  const bool two = op.players == 2, two_by_two = two && op.action_counts[0] == 2 && op.action_counts[1] == 2;
  if (!elapsed_in_range(op, begin, end)) return false;
  for (int64_t t = 0; t < op.horizon; ++t) {
    const int64_t row = t * op.columns;
    for (int64_t p = 0; p < op.players; ++p) {
      const Index* actions = op.actions + p * op.horizon * op.columns + row;
      if (!row_in_range(actions, op.action_counts[p], begin, end)) return false;
    }
    if (two_by_two) {
      play_row<2, true>(op, row + begin, end - begin);
    } else if (two) {
      play_row<2, false>(op, row + begin, end - begin);
    } else {
      play_row<0, false>(op, row + begin, end - begin);
    }
    if (op.length == 0) {
      fill_zero(op.truncations + row + begin, end - begin);
      if (op.final_states) {
        for (int64_t p = 0; p < op.players; ++p) {
          const int64_t first = p * op.horizon * op.columns + row + begin;
          copy(op.final_states + first, op.states + first, end - begin);
        }
      }
    } else if (op.autoreset == Autoreset::kNextStep) {
      end_row_next_step(op, row, begin, end);
    } else if (op.autoreset == Autoreset::kSameStep) {
      end_row<true>(op, row, begin, end);
    } else {
      end_row<false>(op, row, begin, end);
    }
  }
  return true;
}

constexpr int64_t kDraws = 256;

template <class T, class Index>
MAMRL_FN void draw_uniforms(const TabularColumns<T, Index>& op, int64_t first, int64_t count,
                            T* __restrict__ uniforms) {
  const int64_t group = op.player / kPlayersPerDraw, word = op.player % kPlayersPerDraw;
  const int64_t* __restrict__ seeds = op.seeds + first, * __restrict__ clocks = op.clocks + first;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const PhiloxWords drawn = action_words(seeds[i], clocks[i] >> 32, clocks[i], 0, group);
    const uint32_t low = word == 0 ? drawn.word[0] : drawn.word[1], high = word == 2 ? drawn.word[2] : drawn.word[3];
    uniforms[i] = unit_uniform<T>(word < 2 ? low : high);
  }
}

// kActions is 0 where it is known only at run time.
template <int64_t kActions, bool kRows, class T, class Index>
MAMRL_FN void look_up_actions(const TabularColumns<T, Index>& op, int64_t first, int64_t count,
                              const T* __restrict__ uniforms) {
  const int64_t num_actions = kActions ? kActions : op.num_actions, size = op.num_states * num_actions;
  const int64_t* __restrict__ rows = op.rows + first;
  const Index* __restrict__ states = op.states + first;
  const T* __restrict__ probabilities = op.probabilities;
  Index* __restrict__ actions = op.actions + first;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const T* weights = probabilities + (kRows ? rows[i] * size : 0) + states[i] * num_actions;
    actions[i] = static_cast<Index>(draw_weighted(weights, num_actions, uniforms[i]));
  }
}

constexpr int64_t kMostStates = 256;

// One policy that draws nothing is a list of actions.
template <class T, class Index>
MAMRL_FN void look_up_sure_actions(const TabularColumns<T, Index>& op, int64_t begin, int64_t end) {
  Index sure[kMostStates];
  for (int64_t s = 0; s < op.num_states; ++s) {
    sure[s] = static_cast<Index>(draw_weighted(op.probabilities + s * op.num_actions, op.num_actions, T(0)));
  }
  const Index* __restrict__ states = op.states;
  Index* __restrict__ actions = op.actions;
#pragma GCC unroll 8
  for (int64_t i = begin; i < end; ++i) actions[i] = sure[states[i]];
}

template <class T, class Index>
bool tabular_actions(const TabularColumns<T, Index>& op, int64_t begin, int64_t end) {
  if (!row_in_range(op.states, op.num_states, begin, end)) return false;
  if (op.rows && !row_in_range(op.rows, op.num_rows, begin, end)) return false;
  if (!op.seeds && !op.rows && op.num_states <= kMostStates) {
    look_up_sure_actions(op, begin, end);
    return true;
  }
  T uniforms[kDraws] = {};
  for (int64_t first = begin; first < end; first += kDraws) {
    const int64_t count = smaller(kDraws, end - first);
    if (op.seeds) draw_uniforms(op, first, count, uniforms);
    if (op.num_actions != 2) {
      op.rows ? look_up_actions<0, true>(op, first, count, uniforms)
              : look_up_actions<0, false>(op, first, count, uniforms);
    } else {
      op.rows ? look_up_actions<2, true>(op, first, count, uniforms)
              : look_up_actions<2, false>(op, first, count, uniforms);
    }
  }
  return true;
}

#define MAMRL_INSTANTIATE(T, Index)                                                   \
  template bool game_steps<T, Index>(const GameColumns<T, Index>&, int64_t, int64_t); \
  template bool tabular_actions<T, Index>(const TabularColumns<T, Index>&, int64_t, int64_t);
MAMRL_INSTANTIATE(float, uint8_t)
MAMRL_INSTANTIATE(float, int64_t)
MAMRL_INSTANTIATE(double, uint8_t)
MAMRL_INSTANTIATE(double, int64_t)

}  // namespace mamrl::MAMRL_SIMD
