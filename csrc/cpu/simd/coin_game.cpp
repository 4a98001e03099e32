// The coin game as environments: a block's environments a row at a time, each quantity in an array of its own, all of
// time while the block is in L1.
#include <cstring>

#include "common/coin_game.h"
#include "common/table.h"
#include "cpu/coin_game_kernels.h"
#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {
namespace {

// where everything of a block is: players by row and column, the coin and its owner or both coins
struct CoinBlock {
  int32_t row[2][kCoinColumns], column[2][kCoinColumns], coin[2][kCoinColumns];
  int32_t action[2][kCoinColumns];
  int32_t reward[2][kCoinColumns];
  uint32_t words[4][kCoinColumns];
  uint32_t seen[2][kCoinColumns];
};

MAMRL_FN void put(CoinBlock& block, const CoinRules& rules, int64_t i, const CoinState& state) {
  for (int p = 0; p < 2; ++p) {
    block.row[p][i] = state.player[p] / rules.width;
    block.column[p][i] = state.player[p] % rules.width;
    block.coin[p][i] = state.coin[p];
  }
}

// Whether all that is read is in range.
template <class Index>
MAMRL_FN bool read_states(const CoinColumns<Index>& op, int64_t begin, int64_t count, CoinBlock& block) {
  const int32_t cells = op.rules.cells(), lasts = op.rules.coins == 1 ? 2 : cells;
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* from = op.state + (begin + i) * 4;
    const CoinState state = {{from[0], from[1]}, {from[2], from[3]}};
    if (from[0] >= cells || from[1] >= cells || from[2] >= cells || from[3] >= lasts) return false;
    put(block, op.rules, i, state);
  }
  int64_t signs = 0;
  const int64_t most = op.most_elapsed();
  for (int64_t i = begin; i < begin + count; ++i) signs |= op.elapsed[i] | (most - op.elapsed[i]);
  return signs >= 0;
}

template <class Index>
MAMRL_FN bool read_actions(const CoinColumns<Index>& op, int64_t first, int64_t count, CoinBlock& block) {
  int64_t signs = 0;
  for (int64_t p = 0; p < 2; ++p) {
    const Index* __restrict__ from = op.actions + p * op.horizon * op.columns + first;
    int32_t* __restrict__ to = block.action[p];
    for (int64_t i = 0; i < count; ++i) {
      signs |= outside(from[i], op.rules.num_actions);
      to[i] = static_cast<int32_t>(from[i]);
    }
  }
  return signs >= 0;
}

// Moves and pays both players and lets coins that were taken appear by words[coin].
template <int kCoins, bool kFree>
MAMRL_FN void play_row(const CoinRules& rules, int64_t count, CoinBlock& block, const uint32_t* __restrict__ word,
                       const uint32_t* __restrict__ other_word) {
  const int32_t height = rules.height, width = rules.width, cells = rules.cells();
  const uint32_t row_steps = rules.row_steps, column_steps = rules.column_steps;
  const int32_t second_counts = rules.first_alone ? 0 : 1;
  int32_t* __restrict__ row0 = block.row[0], * __restrict__ row1 = block.row[1];
  int32_t* __restrict__ column0 = block.column[0], * __restrict__ column1 = block.column[1];
  int32_t* __restrict__ coin0 = block.coin[0], * __restrict__ coin1 = block.coin[1];
  int32_t* __restrict__ reward0 = block.reward[0], * __restrict__ reward1 = block.reward[1];
  const int32_t* __restrict__ action0 = block.action[0], * __restrict__ action1 = block.action[1];
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    row0[i] = wrapped(row0[i] + move_along(row_steps, action0[i]), height);
    row1[i] = wrapped(row1[i] + move_along(row_steps, action1[i]), height);
    column0[i] = wrapped(column0[i] + move_along(column_steps, action0[i]), width);
    column1[i] = wrapped(column1[i] + move_along(column_steps, action1[i]), width);
    const int32_t first = row0[i] * width + column0[i], second = row1[i] * width + column1[i];
    // by whom the first coin is taken
    const int32_t coin = coin0[i], last = coin1[i];
    const int32_t mine = first == coin, theirs = (second == coin) & ((mine ^ 1) | second_counts);
    const int32_t taken = mine | theirs, appears = coin_cell<kFree>(first, second, cells, word[i]);
    coin0[i] = taken ? appears : coin;
    if constexpr (kCoins == 1) {
      reward0[i] = mine - 2 * (theirs & (last ^ 1));
      reward1[i] = theirs - 2 * (mine & last);
      coin1[i] = last ^ taken;
    } else {
      const int32_t robs = first == last, owns = (second == last) & ((robs ^ 1) | second_counts);
      const int32_t other_appears = coin_cell<kFree>(first, second, cells, other_word[i]);
      reward0[i] = mine + robs - 2 * theirs;
      reward1[i] = theirs + owns - 2 * robs;
      coin1[i] = robs | owns ? other_appears : last;
    }
  }
}

// four words of one counter serve 4 / coins steps
template <int kCoins>
constexpr int64_t kPeriod = 4 / kCoins;

template <int kCoins, class Index>
MAMRL_FN void draw_words(const CoinColumns<Index>& op, int64_t begin, int64_t count, CoinBlock& block) {
  const int64_t* __restrict__ seeds = op.seeds + begin, * __restrict__ clocks = op.clocks + begin;
  uint32_t* __restrict__ to0 = block.words[0], * __restrict__ to1 = block.words[1];
  uint32_t* __restrict__ to2 = block.words[2], * __restrict__ to3 = block.words[3];
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const PhiloxWords drawn = coin_words(seeds[i], clocks[i] >> (kCoins == 1 ? 2 : 1), CoinDraw::kStep);
    to0[i] = drawn.word[0];
    to1[i] = drawn.word[1];
    to2[i] = drawn.word[2];
    to3[i] = drawn.word[3];
  }
}

// Environments whose clocks differ modulo the period: each has its words moved to the front.
template <int kCoins, class Index>
MAMRL_FN void draw_own_words(const CoinColumns<Index>& op, int64_t begin, int64_t count, CoinBlock& block) {
  draw_words<kCoins>(op, begin, count, block);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t phase = op.clocks[begin + i] & (kPeriod<kCoins> - 1);
    for (int coin = 0; coin < kCoins; ++coin) block.words[coin][i] = block.words[phase * kCoins + coin][i];
  }
}

template <int kCoins>
MAMRL_FN void see(const CoinRules& rules, int64_t count, CoinBlock& block) {
  const int32_t width = rules.width;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t first = block.row[0][i] * width + block.column[0][i];
    const int32_t second = block.row[1][i] * width + block.column[1][i];
    const int32_t coin = block.coin[0][i], last = block.coin[1][i];
    block.seen[0][i] = packed(first, second, coin, last);
    block.seen[1][i] = seen_by_second<kCoins>(first, second, coin, last);
  }
}

// A few environments' planes are cleared at a time, so that they are in L1 when the ones are written.
template <int kCoins, class P>
MAMRL_FN void write_planes(const uint32_t* seen, int64_t count, int64_t cells, P* to) {
  constexpr int64_t kAtOnce = 16;
  for (int64_t first = 0; first < count; first += kAtOnce) {
    const int64_t end = first + kAtOnce < count ? first + kAtOnce : count;
    std::memset(to + first * 4 * cells, 0, static_cast<size_t>((end - first) * 4 * cells) * sizeof(P));
    for (int64_t i = first; i < end; ++i) {
      P* planes = to + i * 4 * cells;
      const uint32_t a = seen[i] & 255, b = seen[i] >> 8 & 255, c = seen[i] >> 16 & 255, d = seen[i] >> 24;
      planes[a] = P(1);
      planes[cells + b] = P(1);
      if constexpr (kCoins == 1) {
        planes[(2 + d) * cells + c] = P(1);
      } else {
        planes[2 * cells + c] = P(1);
        planes[3 * cells + d] = P(1);
      }
    }
  }
}

// What both players see, for a row of the block.
template <int kCoins, class Index>
MAMRL_FN void write_views(const CoinColumns<Index>& op, int64_t first, int64_t count, CoinBlock& block, char* to) {
  see<kCoins>(op.rules, count, block);
  const int64_t bytes = op.bytes_an_environment(), cells = op.rules.cells();
  for (int64_t p = 0; p < 2; ++p) {
    char* own = to + (p * op.horizon * op.columns + first) * bytes;
    const uint32_t* seen = block.seen[op.rules.same_view ? 0 : p];
    if (op.view == CoinView::kPositions) {
      std::memcpy(own, seen, static_cast<size_t>(count) * sizeof(uint32_t));
    } else if (op.view == CoinView::kBytePlanes) {
      write_planes<kCoins>(seen, count, cells, reinterpret_cast<uint8_t*>(own));
    } else {
      write_planes<kCoins>(seen, count, cells, reinterpret_cast<float*>(own));
    }
  }
}

// Counts the step; whether an episode has ended or was waiting to start.
template <class Index>
MAMRL_FN bool count_row(const CoinColumns<Index>& op, int64_t begin, int64_t row, int64_t count) {
  int32_t* __restrict__ elapsed = op.elapsed + begin;
  int64_t* __restrict__ clocks = op.clocks + begin;
  bool* __restrict__ truncations = op.truncations + row;
  const int32_t length = op.length ? op.length : -1;
  int32_t any = 0;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const int32_t after = elapsed[i] + 1;
    elapsed[i] = after;
    truncations[i] = after == length;
    any |= (after == length) | (after == length + 1);
  }
  for (int64_t i = 0; i < count; ++i) clocks[i] += 1;
  return op.length != 0 && any;
}

// What the few environments do whose episode has ended or was waiting to start.
template <class Index>
MAMRL_FN void turn_episodes(const CoinColumns<Index>& op, int64_t begin, int64_t count, CoinBlock& block) {
  for (int64_t i = 0; i < count; ++i) {
    int32_t& elapsed = op.elapsed[begin + i];
    const bool waited = elapsed == op.length + 1, ended = elapsed == op.length;
    if (waited || (ended && !op.rules.pays_last)) block.reward[0][i] = block.reward[1][i] = 0;
    if (!waited && !(ended && op.autoreset == Autoreset::kSameStep)) continue;
    // one that waited has played no step
    int64_t& clock = op.clocks[begin + i];
    clock -= waited;
    put(block, op.rules, i, coin_start(op.rules, op.seeds[begin + i], clock));
    clock += kStartTicks;
    elapsed = 0;
  }
}

template <int kCoins, bool kFree, class Index>
MAMRL_FN bool play(const CoinColumns<Index>& op, int64_t begin, int64_t count, CoinBlock& block) {
  const int64_t* clocks = op.clocks + begin;
  // whether the words at hand are of counters that some clocks have left, an episode having begun
  bool stale = true;
  int64_t differ = 0;
  for (int64_t t = 0; t < op.horizon; ++t) {
    const int64_t row = t * op.columns + begin;
    if (!read_actions(op, row, count, block)) return false;
    if (stale) {
      differ = 0;
      for (int64_t i = 0; i < count; ++i) differ |= (clocks[i] ^ clocks[0]) & (kPeriod<kCoins> - 1);
    }
    const int64_t phase = differ ? 0 : clocks[0] & (kPeriod<kCoins> - 1);
    if (differ) {
      draw_own_words<kCoins>(op, begin, count, block);
    } else if (stale || phase == 0) {
      draw_words<kCoins>(op, begin, count, block);
    }
    const uint32_t* word = block.words[phase * kCoins];
    play_row<kCoins, kFree>(op.rules, count, block, word, word + (kCoins - 1) * kCoinColumns);
    const bool turns = count_row(op, begin, row, count);
    if (op.final_observations) write_views<kCoins>(op, row, count, block, op.final_observations);
    if (turns) turn_episodes(op, begin, count, block);
    stale = turns;
    write_views<kCoins>(op, row, count, block, op.observations);
    for (int64_t p = 0; p < 2; ++p) {
      float* __restrict__ rewards = op.rewards + p * op.horizon * op.columns + row;
      const int32_t* __restrict__ paid = block.reward[p];
      for (int64_t i = 0; i < count; ++i) rewards[i] = static_cast<float>(paid[i]);
    }
  }
  see<kCoins>(op.rules, count, block);
  std::memcpy(op.state_after + begin * 4, block.seen[0], static_cast<size_t>(count) * sizeof(uint32_t));
  return true;
}

}  // namespace

template <class Index>
bool coin_game_steps(const CoinColumns<Index>& op, int64_t begin, int64_t end) {
  CoinBlock block;
  const int64_t count = end - begin;
  if (!read_states(op, begin, count, block)) return false;
  if (op.rules.coins == 1) {
    return op.rules.free_coin ? play<1, true>(op, begin, count, block) : play<1, false>(op, begin, count, block);
  }
  return op.rules.free_coin ? play<2, true>(op, begin, count, block) : play<2, false>(op, begin, count, block);
}

template bool coin_game_steps<uint8_t>(const CoinColumns<uint8_t>&, int64_t, int64_t);
template bool coin_game_steps<int64_t>(const CoinColumns<int64_t>&, int64_t, int64_t);

}  // namespace mamrl::MAMRL_SIMD
