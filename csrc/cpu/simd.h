// The kernels of csrc/cpu/simd, compiled once for each instruction set, and the choice between them at run
// time.
#pragma once

#include "common/columns.h"
#include "common/rollout_kernels.h"
#include "cpu/coin_game_kernels.h"
#include "cpu/matrix_game_kernels.h"
#include "cpu/pair_kernels.h"
#include "cpu/recurrent_parts.h"

namespace mamrl {

// A recurrent network's.
template <class T>
struct RecurrentPasses {
  int64_t (*forward_scratch)(const RecurrentShape&);
  void (*forward)(const RecurrentForward<T>&, int64_t first, int64_t last, char* memory);
  int64_t (*backward_scratch)(const RecurrentShape&);
  void (*backward)(const RecurrentBackwardParts<T>&, int64_t first, int64_t last, char* memory);
  int64_t (*double_backward_scratch)(const RecurrentShape&);
  void (*double_backward)(const RecurrentDoubleBackwardParts<T>&, int64_t first, int64_t last, char* memory);
};

// One instruction set's kernels. Those of the networks and the rollout run the tasks [first, last) in memory of
// *_scratch bytes; those of the small ops the columns [begin, end).
template <class T>
struct SimdKernels {
  RecurrentPasses<T> lstm, gru;
  int64_t (*rollout_scratch)(const Rollout<T>&);
  void (*rollout)(const Rollout<T>&, int64_t first, int64_t last, char* memory);
  int64_t (*pair_network_scratch)(const PairNetwork<T>&);
  void (*pair_network)(const PairNetwork<T>&, int64_t first, int64_t last, char* memory);

  void (*gae)(const GaeColumns<T>&, int64_t begin, int64_t end);
  void (*gae_backward)(const GaeBackwardColumns<T>&, int64_t begin, int64_t end);
  void (*returns)(const ReturnsColumns<T>&, int64_t begin, int64_t end);
  void (*returns_backward)(const ReturnsBackwardColumns<T>&, int64_t begin, int64_t end);
  void (*dice_pair_weights)(const DiceWeightsColumns<T>&, int64_t begin, int64_t end);
  void (*dice_gradient)(const DiceGradientColumns<T>&, int64_t begin, int64_t end);
  void (*dice_product)(const DiceProductColumns<T>&, int64_t begin, int64_t end);
  void (*baseline_sums)(const BaselineChain<T>&, double* memory, double* gram, double* times);
  void (*baseline_predict)(const BaselineChain<T>&, const double* weights, double* memory);

  // false: an index is out of range, and the results are not to be used
  bool (*game_steps_small)(const GameColumns<T, uint8_t>&, int64_t begin, int64_t end);
  bool (*game_steps)(const GameColumns<T, int64_t>&, int64_t begin, int64_t end);
  bool (*tabular_actions_small)(const TabularColumns<T, uint8_t>&, int64_t begin, int64_t end);
  bool (*tabular_actions)(const TabularColumns<T, int64_t>&, int64_t begin, int64_t end);
  // the same for either T
  bool (*coin_steps_small)(const CoinColumns<uint8_t>&, int64_t begin, int64_t end);
  bool (*coin_steps)(const CoinColumns<int64_t>&, int64_t begin, int64_t end);
};

// of the level in use: the highest that this CPU has, unless MAMRL_SIMD or _set_simd_level chose another
template <class T>
const SimdKernels<T>& simd_kernels();

}  // namespace mamrl
