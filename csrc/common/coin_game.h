// The coin game's rules: moves on a grid whose edges are joined, who takes what, where a coin appears. A cell is
// row * width + column. The names of python/mamrl/games/coin_game.py, whose CoinGame.rules() lists these fields.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/philox.h"

namespace mamrl {

constexpr int64_t kLargestSide = 16;
constexpr int64_t kMostMoves = 5;
// ticks of an environment's clock: one a step, these for an episode's start
constexpr int64_t kStartTicks = 4;

struct CoinRules {
  int32_t height, width;
  int32_t coins;  // 1, whose owner changes; or 2, one of each player
  int32_t num_actions;
  uint32_t row_steps, column_steps;  // two bits an action, plus 1
  bool first_alone;                  // where both arrive, the second does not count
  bool apart;                        // players begin in different cells
  bool free_coin;                    // a coin appears where no player is
  bool same_view;                    // both players see what the first does
  bool pays_last;                    // an episode's last step is paid

  MAMRL_METHOD int32_t cells() const { return height * width; }
};

constexpr int64_t kCoinRuleFields = 11;

// -1, 0 or 1
MAMRL_FN int32_t move_along(uint32_t steps, int32_t action) {
  return static_cast<int32_t>((steps >> (2 * action)) & 3u) - 1;
}

// a place one step beyond an edge is at the other
MAMRL_FN int32_t wrapped(int32_t place, int32_t side) {
  place = place < 0 ? side - 1 : place;
  return place == side ? 0 : place;
}

// [0, count), alike to a part in 2^32 / count
MAMRL_FN int32_t below(uint32_t word, int32_t count) {
  return static_cast<int32_t>((static_cast<uint64_t>(word) * static_cast<uint32_t>(count)) >> 32);
}

// Where a coin appears among players in cells `first` and `second`.
template <bool kFree>
MAMRL_FN int32_t coin_cell(int32_t first, int32_t second, int32_t cells, uint32_t word) {
  if constexpr (!kFree) return below(word, cells);
  const int32_t low = first < second ? first : second, high = first < second ? second : first;
  const int32_t apart = low != high;
  int32_t cell = below(word, cells - 1 - apart);
  cell += cell >= low;
  return cell + (apart & (cell >= high));
}

// What is random in an environment: counted by its clock, and by what the draw is for. The last word of the counter
// keeps these draws apart from those of the players' actions (action_words).
enum class CoinDraw : uint32_t { kStep, kStart };
constexpr uint32_t kCoinDraws = 0xC0140A3Eu;

MAMRL_FN PhiloxWords coin_words(int64_t seed, int64_t time, CoinDraw purpose) {
  const PhiloxWords counter = {
      {static_cast<uint32_t>(time), static_cast<uint32_t>(time >> 32), static_cast<uint32_t>(purpose), kCoinDraws}};
  return philox(counter, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// The players' cells; the coin's and its owner, or both coins'.
struct CoinState {
  int32_t player[2], coin[2];
};

MAMRL_FN int32_t coin_cell(const CoinRules& rules, int32_t first, int32_t second, uint32_t word) {
  return rules.free_coin ? coin_cell<true>(first, second, rules.cells(), word)
                         : coin_cell<false>(first, second, rules.cells(), word);
}

MAMRL_FN CoinState coin_start(const CoinRules& rules, int64_t seed, int64_t clock) {
  const PhiloxWords words = coin_words(seed, clock, CoinDraw::kStart);
  const int32_t first = below(words.word[0], rules.cells());
  int32_t second = below(words.word[1], rules.cells() - rules.apart);
  second += rules.apart && second >= first;
  const int32_t coin = coin_cell(rules, first, second, words.word[2]);
  const int32_t last =
      rules.coins == 1 ? static_cast<int32_t>(words.word[3] >> 31) : coin_cell(rules, first, second, words.word[3]);
  return {{first, second}, {coin, last}};
}

// A state in four bytes, the first number the lowest, and the same from the second player's side.
MAMRL_FN uint32_t packed(int32_t a, int32_t b, int32_t c, int32_t d) {
  return static_cast<uint32_t>(a) | static_cast<uint32_t>(b) << 8 | static_cast<uint32_t>(c) << 16 |
         static_cast<uint32_t>(d) << 24;
}

template <int kCoins>
MAMRL_FN uint32_t seen_by_second(int32_t first, int32_t second, int32_t coin, int32_t last) {
  return kCoins == 1 ? packed(second, first, coin, 1 - last) : packed(second, first, last, coin);
}

}  // namespace mamrl
