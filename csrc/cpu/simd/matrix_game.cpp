// Matrix games as environments: a row of the block's environments at a time, all of time while the block is in L1.
#include <type_traits>

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

// The actions of two players with two each, and the states that follow; whether all were in range.
template <class T, class Index>
MAMRL_FN bool two_by_two_states(const GameColumns<T, Index>& op, int64_t first, int64_t count) {
  using Unsigned = std::make_unsigned_t<Index>;
  const int64_t stride = op.horizon * op.columns;
  const Index* __restrict__ actions = op.actions + first;
  const Index* __restrict__ others = actions + stride;
  Index* __restrict__ states = op.states + first;
  Index* __restrict__ others_states = states + stride;
  Unsigned seen = 0;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const Unsigned own = static_cast<Unsigned>(actions[i]), other = static_cast<Unsigned>(others[i]);
    seen |= own | other;
    states[i] = static_cast<Index>(own + own + other + 1);
    others_states[i] = static_cast<Index>(other + other + own + 1);
  }
  return seen < 2;
}

// Their rewards, both players' by the first one's states: four payoffs fit a register, where a permutation looks up as
// many of them as it has lanes.
template <class T, class Index>
MAMRL_FN void two_by_two_rewards(const GameColumns<T, Index>& op, int64_t first, int64_t count) {
  const int64_t stride = op.horizon * op.columns;
  const Index* __restrict__ states = op.states + first;
  T* __restrict__ rewards = op.rewards + first;
  T* __restrict__ others_rewards = rewards + stride;
  const T *payoffs = op.payoffs, *others_payoffs = payoffs + 4;
  int64_t i = 0;
#ifdef __AVX2__
  using Lane = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  constexpr int64_t kAtOnce = 64;
  // states begin at 1, and a permutation takes them modulo its lanes
  Vec<T> table, others_table;
  for (int64_t lane = 0; lane < kLanes<T>; ++lane) {
    table[lane] = payoffs[(lane + 3) % 4];
    others_table[lane] = others_payoffs[(lane + 3) % 4];
  }
  for (; i + kAtOnce <= count; i += kAtOnce) {
    Lane lanes[kAtOnce];
    for (int64_t k = 0; k < kAtOnce; ++k) lanes[k] = static_cast<Lane>(states[i + k]);
    for (int64_t k = 0; k < kAtOnce; k += kLanes<T>) {
      const Vec<Lane> state = load(lanes + k);
      store(rewards + i + k, Vec<T>(__builtin_shuffle(table, state)));
      store(others_rewards + i + k, Vec<T>(__builtin_shuffle(others_table, state)));
    }
  }
#endif
  const T cc = payoffs[0], cd = payoffs[1], dc = payoffs[2], dd = payoffs[3];
  const T other_cc = others_payoffs[0], other_cd = others_payoffs[1], other_dc = others_payoffs[2],
          other_dd = others_payoffs[3];
#pragma GCC ivdep
  for (; i < count; ++i) {
    const Index state = states[i];
    const bool defects = state > 2, other_defects = state == 2 || state == 4;
    rewards[i] = defects ? (other_defects ? dd : dc) : (other_defects ? cd : cc);
    others_rewards[i] = defects ? (other_defects ? other_dd : other_dc) : (other_defects ? other_cd : other_cc);
  }
}

// Any other game reads its payoffs from memory. kPlayers is 0 where it is known only at run time.
template <int64_t kPlayers, class T, class Index>
MAMRL_FN bool play_row(const GameColumns<T, Index>& op, int64_t first, int64_t count) {
  const int64_t players = kPlayers ? kPlayers : op.players, stride = op.horizon * op.columns;
  const Index* __restrict__ actions = op.actions + first;
  for (int64_t p = 0; p < players; ++p) {
    if (!row_in_range(actions + p * stride, op.action_counts[p], 0, count)) return false;
  }
  for (int64_t p = 0; p < players; ++p) {
    Index* __restrict__ states = op.states + p * stride + first;
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) states[i] = joint_state(actions + i, stride, op.action_counts, players, p);
  }
  for (int64_t p = 0; p < players; ++p) {
    T* __restrict__ rewards = op.rewards + p * stride + first;
    const T* __restrict__ payoffs = op.payoffs + p * op.joint_actions;
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) {
      rewards[i] = payoffs[payoff_index(actions + i, stride, op.action_counts, players)];
    }
  }
  return true;
}

// Environments whose episode had ended start the next one: what the row has played is not theirs. Returns the largest
// count of steps that is left.
template <class T, class Index>
MAMRL_FN int32_t end_row_next_step(const GameColumns<T, Index>& op, int64_t row, int64_t begin, int64_t end) {
  int32_t* __restrict__ elapsed = op.elapsed;
  bool* __restrict__ truncations = op.truncations + row;
  const int32_t length = op.length;
  int32_t started = 0, most = 0;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    const int32_t after = elapsed_next_step(elapsed[i], length);
    elapsed[i] = after;
    truncations[i] = after == length;
    started |= after == 0;
    most = after > most ? after : most;
  }
  if (!started) return most;
  for (int64_t p = 0; p < op.players; ++p) {
    const int64_t first = p * op.horizon * op.columns + row;
    for (int64_t i = begin; i < end; ++i) {
      if (elapsed[i] != 0) continue;
      op.states[first + i] = 0;
      op.rewards[first + i] = 0;
    }
  }
  return most;
}

template <class T, class Index>
MAMRL_FN void keep_final_states(const GameColumns<T, Index>& op, int64_t row, int64_t begin, int64_t end) {
  for (int64_t p = 0; p < op.players; ++p) {
    const int64_t first = p * op.horizon * op.columns + row + begin;
    copy(op.final_states + first, op.states + first, end - begin);
  }
}

// Environments whose episode ends start the next one at once; final_states keeps what they reached. Returns the largest
// count of steps that is left.
template <bool kAutoreset, class T, class Index>
MAMRL_FN int32_t end_row(const GameColumns<T, Index>& op, int64_t row, int64_t begin, int64_t end) {
  int32_t* __restrict__ elapsed = op.elapsed;
  bool* __restrict__ truncations = op.truncations + row;
  const int32_t length = op.length;
  int32_t ended = 0, most = 0;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    const int32_t after = elapsed[i] + 1;
    const bool truncated = after == length;
    const int32_t left = kAutoreset && truncated ? 0 : after;
    truncations[i] = truncated;
    elapsed[i] = left;
    ended |= truncated;
    most = left > most ? left : most;
  }
  if (!kAutoreset) return most;
  keep_final_states(op, row, begin, end);
  if (!ended) return most;
  for (int64_t p = 0; p < op.players; ++p) {
    const int64_t first = p * op.horizon * op.columns + row;
    for (int64_t i = begin; i < end; ++i) {
      if (truncations[i]) op.states[first + i] = 0;
    }
  }
  return most;
}

// The largest count of steps in the block, or -1 where an environment may not take the steps asked for.
template <class T, class Index>
MAMRL_FN int32_t most_elapsed_in(const GameColumns<T, Index>& op, int64_t begin, int64_t end) {
  const int32_t* __restrict__ elapsed = op.elapsed;
  int32_t signs = 0, most = 0;
  for (int64_t i = begin; i < end; ++i) {
    signs |= elapsed[i];
    most = elapsed[i] > most ? elapsed[i] : most;
  }
  return signs < 0 || most > op.most_elapsed() ? -1 : most;
}

template <class T, class Index>
MAMRL_FN void advance_elapsed(const GameColumns<T, Index>& op, int32_t steps, int64_t begin, int64_t end) {
  int32_t* __restrict__ elapsed = op.elapsed;
  for (int64_t i = begin; i < end; ++i) elapsed[i] += steps;
}

template <class T, class Index>
bool game_steps(const GameColumns<T, Index>& op, int64_t begin, int64_t end) {
  const bool two = op.players == 2, two_by_two = two && op.action_counts[0] == 2 && op.action_counts[1] == 2;
  int32_t most = most_elapsed_in(op, begin, end);
  if (most < 0) return false;
  // steps that no environment of the block has counted yet: each counts where an episode may end, and at the end
  int32_t uncounted = 0;
  for (int64_t t = 0; t < op.horizon; ++t) {
    const int64_t row = t * op.columns, first = row + begin, count = end - begin;
    if (two_by_two) {
      if (!two_by_two_states(op, first, count)) return false;
      two_by_two_rewards(op, first, count);
    } else if (!(two ? play_row<2>(op, first, count) : play_row<0>(op, first, count))) {
      return false;
    }
    if (op.length == 0 || most + uncounted + 1 < op.length) {
      fill_zero(op.truncations + first, count);
      if (op.final_states) keep_final_states(op, row, begin, end);
      if (op.length) ++uncounted;
      continue;
    }
    if (uncounted) advance_elapsed(op, uncounted, begin, end);
    uncounted = 0;
    if (op.autoreset == Autoreset::kNextStep) {
      most = end_row_next_step(op, row, begin, end);
    } else if (op.autoreset == Autoreset::kSameStep) {
      most = end_row<true>(op, row, begin, end);
    } else {
      most = end_row<false>(op, row, begin, end);
    }
  }
  if (uncounted) advance_elapsed(op, uncounted, begin, end);
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
  Index sure[kMostStates] = {};
  for (int64_t s = 0; s < op.num_states; ++s) {
    sure[s] = static_cast<Index>(draw_weighted(op.probabilities + s * op.num_actions, op.num_actions, T(0)));
  }
  const Index* __restrict__ states = op.states;
  Index* __restrict__ actions = op.actions;
  int64_t i = begin;
#ifdef __AVX2__
  // as many bytes as an instruction looks up at once
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  constexpr int64_t kBytes = sizeof(Bytes);
  if constexpr (sizeof(Index) == 1) {
    if (op.num_states <= kBytes) {
      Bytes table;
      __builtin_memcpy(&table, sure, sizeof(table));
      for (; i + kBytes <= end; i += kBytes) {
        Bytes state;
        __builtin_memcpy(&state, states + i, sizeof(state));
        const Bytes action = __builtin_shuffle(table, state);
        __builtin_memcpy(actions + i, &action, sizeof(action));
      }
    }
  }
#endif
#pragma GCC unroll 8
  for (; i < end; ++i) actions[i] = sure[states[i]];
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
