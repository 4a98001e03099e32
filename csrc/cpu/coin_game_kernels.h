// What the kernel of the coin game is called with: E environments side by side as columns.
#pragma once

#include <cstdint>

#include "common/coin_game.h"
#include "cpu/matrix_game_kernels.h"

namespace mamrl {

// columns that a call of the kernel may have, all of whose state is in L1
constexpr int64_t kCoinColumns = 512;

enum class CoinView : int64_t { kPositions, kBytePlanes, kFloatPlanes };

// T steps of every environment. Observations are (2, T, E, 4) bytes or (2, T, E, 4, cells) planes.
template <class Index>
struct CoinColumns {
  CoinRules rules;
  int64_t horizon, columns;
  const uint8_t* state;  // (E, 4)
  const Index* actions;  // (2, T, E)
  const int64_t* seeds;  // (E)
  CoinView view;
  char *observations, *final_observations;  // the latter null but for kSameStep
  float* rewards;                           // (2, T, E)
  bool* truncations;                        // (T, E)
  uint8_t* state_after;
  int32_t* elapsed;  // (E), updated in place, as is the next
  int64_t* clocks;
  int32_t length;  // 0: episodes do not end
  Autoreset autoreset;

  int64_t most_elapsed() const { return most_elapsed_before(horizon, length, autoreset); }

  int64_t bytes_an_environment() const {
    const int64_t planes = 4 * rules.cells();
    return view == CoinView::kPositions ? 4 : view == CoinView::kBytePlanes ? planes : planes * int64_t{sizeof(float)};
  }
};

}  // namespace mamrl
