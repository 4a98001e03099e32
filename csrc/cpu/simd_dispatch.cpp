// Chooses the instruction set at run time: the highest that this CPU has, or the one that the environment
// variable MAMRL_SIMD or _set_simd_level names.
#include <torch/csrc/stable/library.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "common/check.h"
#include "cpu/simd.h"

#define MAMRL_DECLARE_LEVEL(level)                                                                                  \
  namespace mamrl::level {                                                                                          \
  template <class T>                                                                                                \
  int64_t lstm_forward_scratch(const RecurrentShape&);                                                              \
  template <class T>                                                                                                \
  void lstm_forward(const RecurrentForward<T>&, int64_t, int64_t, char*);                                           \
  template <class T>                                                                                                \
  int64_t lstm_backward_scratch(const RecurrentShape&);                                                             \
  template <class T>                                                                                                \
  void lstm_backward(const RecurrentBackwardParts<T>&, int64_t, int64_t, char*);                                    \
  template <class T>                                                                                                \
  int64_t lstm_double_backward_scratch(const RecurrentShape&);                                                      \
  template <class T>                                                                                                \
  void lstm_double_backward(const RecurrentDoubleBackwardParts<T>&, int64_t, int64_t, char*);                       \
  template <class T>                                                                                                \
  int64_t gru_forward_scratch(const RecurrentShape&);                                                               \
  template <class T>                                                                                                \
  void gru_forward(const RecurrentForward<T>&, int64_t, int64_t, char*);                                            \
  template <class T>                                                                                                \
  int64_t gru_backward_scratch(const RecurrentShape&);                                                              \
  template <class T>                                                                                                \
  void gru_backward(const RecurrentBackwardParts<T>&, int64_t, int64_t, char*);                                     \
  template <class T>                                                                                                \
  int64_t gru_double_backward_scratch(const RecurrentShape&);                                                       \
  template <class T>                                                                                                \
  void gru_double_backward(const RecurrentDoubleBackwardParts<T>&, int64_t, int64_t, char*);                        \
  template <class T>                                                                                                \
  int64_t rollout_scratch(const Rollout<T>&);                                                                       \
  template <class T>                                                                                                \
  void rollout(const Rollout<T>&, int64_t, int64_t, char*);                                                         \
  template <class T>                                                                                                \
  int64_t pair_network_scratch(const PairNetwork<T>&);                                                              \
  template <class T>                                                                                                \
  void pair_network(const PairNetwork<T>&, int64_t, int64_t, char*);                                                \
  template <class T>                                                                                                \
  void gae(const GaeColumns<T>&, int64_t, int64_t);                                                                 \
  template <class T>                                                                                                \
  void gae_backward(const GaeBackwardColumns<T>&, int64_t, int64_t);                                                \
  template <class T>                                                                                                \
  void returns(const ReturnsColumns<T>&, int64_t, int64_t);                                                         \
  template <class T>                                                                                                \
  void returns_backward(const ReturnsBackwardColumns<T>&, int64_t, int64_t);                                        \
  template <class T>                                                                                                \
  void dice_pair_weights(const DiceWeightsColumns<T>&, int64_t, int64_t);                                           \
  template <class T>                                                                                                \
  void dice_gradient(const DiceGradientColumns<T>&, int64_t, int64_t);                                              \
  template <class T>                                                                                                \
  void dice_product(const DiceProductColumns<T>&, int64_t, int64_t);                                                \
  template <class T>                                                                                                \
  void baseline_sums(const BaselineChain<T>&, double*, double*, double*);                                           \
  template <class T>                                                                                                \
  void baseline_predict(const BaselineChain<T>&, const double*, double*);                                           \
  template <class T, class Index>                                                                                   \
  bool game_steps(const GameColumns<T, Index>&, int64_t, int64_t);                                                  \
  template <class T, class Index>                                                                                   \
  bool tabular_actions(const TabularColumns<T, Index>&, int64_t, int64_t);                                          \
  template <class Index>                                                                                            \
  bool coin_game_steps(const CoinColumns<Index>&, int64_t, int64_t);                                                \
  template <class T>                                                                                                \
  constexpr SimdKernels<T> kernels = {{lstm_forward_scratch<T>, lstm_forward<T>, lstm_backward_scratch<T>,          \
                                       lstm_backward<T>, lstm_double_backward_scratch<T>, lstm_double_backward<T>}, \
                                      {gru_forward_scratch<T>, gru_forward<T>, gru_backward_scratch<T>,             \
                                       gru_backward<T>, gru_double_backward_scratch<T>, gru_double_backward<T>},    \
                                      rollout_scratch<T>,                                                           \
                                      rollout<T>,                                                                   \
                                      pair_network_scratch<T>,                                                      \
                                      pair_network<T>,                                                              \
                                      gae<T>,                                                                       \
                                      gae_backward<T>,                                                              \
                                      returns<T>,                                                                   \
                                      returns_backward<T>,                                                          \
                                      dice_pair_weights<T>,                                                         \
                                      dice_gradient<T>,                                                             \
                                      dice_product<T>,                                                              \
                                      baseline_sums<T>,                                                             \
                                      baseline_predict<T>,                                                          \
                                      game_steps<T, uint8_t>,                                                       \
                                      game_steps<T, int64_t>,                                                       \
                                      tabular_actions<T, uint8_t>,                                                  \
                                      tabular_actions<T, int64_t>,                                                  \
                                      coin_game_steps<uint8_t>,                                                     \
                                      coin_game_steps<int64_t>};                                                    \
  }

MAMRL_DECLARE_LEVEL(baseline)
#ifdef __x86_64__
MAMRL_DECLARE_LEVEL(avx2)
MAMRL_DECLARE_LEVEL(avx512)
#endif

namespace mamrl {
namespace {

enum class Level { baseline, avx2, avx512 };
constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};

Level highest_level() {
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (avx2) return avx512 ? Level::avx512 : Level::avx2;
#endif
  return Level::baseline;
}

Level level_named(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(highest_level()); ++i) {
    if (name == kNames[i]) return static_cast<Level>(i);
  }
  MAMRL_CHECK(false, "SIMD level '", name, "' is unknown or not supported by this CPU, whose highest is '",
              kNames[static_cast<int>(highest_level())], "'");
}

std::atomic<int> chosen{-1};

Level current_level() {
  int level = chosen.load(std::memory_order_relaxed);
  if (level < 0) {
    const char* name = std::getenv("MAMRL_SIMD");
    level = static_cast<int>(name && *name ? level_named(name) : highest_level());
    chosen.store(level, std::memory_order_relaxed);
  }
  return static_cast<Level>(level);
}

std::string simd_level() { return kNames[static_cast<int>(current_level())]; }

void set_simd_level(std::string level) {
  chosen.store(static_cast<int>(level_named(level)), std::memory_order_relaxed);
}

}  // namespace

template <class T>
const SimdKernels<T>& simd_kernels() {
  switch (current_level()) {
#ifdef __x86_64__
    case Level::avx512:
      return avx512::kernels<T>;
    case Level::avx2:
      return avx2::kernels<T>;
#endif
    default:
      return baseline::kernels<T>;
  }
}

template const SimdKernels<float>& simd_kernels<float>();
template const SimdKernels<double>& simd_kernels<double>();

}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CompositeExplicitAutograd, m) {
  m.impl("simd_level", TORCH_BOX(&mamrl::simd_level));
  m.impl("_set_simd_level", TORCH_BOX(&mamrl::set_simd_level));
}
