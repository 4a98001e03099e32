// The kernels of csrc/cpu/simd, compiled once for each instruction set, and the choice between them at run
// time.
#pragma once

#include "common/columns.h"
#include "common/rollout_kernels.h"
#include "cpu/lstm_parts.h"

namespace mamrl {

// One instruction set's kernels. Those of the LSTM and the rollout run the tasks [first, last) in memory of *_scratch
// bytes; those of the small ops the columns [begin, end).
template <class T>
struct SimdKernels {
  int64_t (*lstm_forward_scratch)(const LstmShape&);
  void (*lstm_forward)(const LstmForward<T>&, int64_t first, int64_t last, char* memory);
  int64_t (*lstm_backward_scratch)(const LstmShape&);
  void (*lstm_backward)(const LstmBackwardParts<T>&, int64_t first, int64_t last, char* memory);
  int64_t (*lstm_double_backward_scratch)(const LstmShape&);
  void (*lstm_double_backward)(const LstmDoubleBackwardParts<T>&, int64_t first, int64_t last, char* memory);
  int64_t (*rollout_scratch)(const Rollout<T>&);
  void (*rollout)(const Rollout<T>&, int64_t first, int64_t last, char* memory);

  void (*gae)(const GaeColumns<T>&, int64_t begin, int64_t end);
  void (*gae_backward)(const GaeBackwardColumns<T>&, int64_t begin, int64_t end);
  void (*returns)(const ReturnsColumns<T>&, int64_t begin, int64_t end);
  void (*returns_backward)(const ReturnsBackwardColumns<T>&, int64_t begin, int64_t end);
  void (*dice_pair_weights)(const DiceWeightsColumns<T>&, int64_t begin, int64_t end);
  void (*dice_gradient)(const DiceGradientColumns<T>&, int64_t begin, int64_t end);
  void (*dice_product)(const DiceProductColumns<T>&, int64_t begin, int64_t end);
  void (*baseline_sums)(const BaselineChain<T>&, double* memory, double* gram, double* times);
  void (*baseline_predict)(const BaselineChain<T>&, const double* weights);
};

// of the level in use: the highest that this CPU has, unless MAMRL_SIMD or _set_simd_level chose another
template <class T>
const SimdKernels<T>& simd_kernels();

}  // namespace mamrl
