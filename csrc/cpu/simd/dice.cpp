// DiCE's weights, gradient and Hessian-vector product, a row of the block at a time; sums run in double.
#include "common/dice.h"

#include "common/columns.h"
#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
void dice_pair_weights(const DiceWeightsColumns<T>& op, int64_t begin, int64_t end) {
  double* __restrict__ later = op.totals;
  for (int64_t t = op.horizon - 1; t >= 0; --t) {
    const T* __restrict__ rewards = op.rewards + t * op.columns;
    T* __restrict__ pair_weights = op.pair_weights + t * op.columns;
    const T power = T(op.powers[t]);
    if (later) {
#pragma GCC ivdep
      for (int64_t c = begin; c < end; ++c) {
        later[c] = dice_pair_weight<T>(later[c], rewards[c], power);
        pair_weights[c] = T(later[c]);
      }
    } else {
#pragma GCC ivdep
      for (int64_t c = begin; c < end; ++c) pair_weights[c] = power * rewards[c];
    }
  }
}

template <class T>
void dice_gradient(const DiceGradientColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ scales = op.scales;
  for (int64_t t = 0; t < op.horizon; ++t) {
    const T* __restrict__ pair_weights = op.pair_weights + t * op.columns;
    const T* __restrict__ baseline = op.baseline ? op.baseline + t * op.columns : nullptr;
    T* __restrict__ gradient = op.gradient + t * op.columns;
    const T power = T(op.powers[t]);
#pragma GCC ivdep
    for (int64_t c = begin; c < end; ++c)
      gradient[c] = scales[c] * dice_weight<T>(pair_weights[c], baseline ? baseline[c] : T(0), power);
  }
}

template <class T>
void dice_product(const DiceProductColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ scales = op.scales;
  double* __restrict__ sums = op.sums, * __restrict__ carried = op.carried;
  for (int64_t t = 0; t < op.horizon; ++t) {
    const int64_t row = t * op.columns;
    const T* __restrict__ vector = op.vector + row, * __restrict__ pair_weights = op.pair_weights + row;
    const T* __restrict__ baseline = op.baseline ? op.baseline + row : nullptr;
    T* __restrict__ product = op.product + row;
    const T power = T(op.powers[t]);
#pragma GCC ivdep
    for (int64_t c = begin; c < end; ++c) {
      const T diagonal = baseline ? baseline[c] : T(0);
      carried[c] += double(vector[c]);
      sums[c] += double(vector[c] * dice_weight<T>(pair_weights[c], diagonal, power));
      product[c] = scales[c] * dice_earlier_product<T>(carried[c], vector[c], pair_weights[c], diagonal, power);
    }
  }
  fill_zero(carried + begin, end - begin);
  for (int64_t t = op.horizon - 1; t >= 0; --t) {
    const int64_t row = t * op.columns;
    const T* __restrict__ vector = op.vector + row, * __restrict__ pair_weights = op.pair_weights + row;
    T* __restrict__ product = op.product + row;
#pragma GCC ivdep
    for (int64_t c = begin; c < end; ++c) {
      product[c] += scales[c] * T(carried[c]);
      carried[c] = dice_later_product<T>(carried[c], vector[c], pair_weights[c]);
    }
  }
}

#define MAMRL_INSTANTIATE(T)                                                          \
  template void dice_pair_weights<T>(const DiceWeightsColumns<T>&, int64_t, int64_t); \
  template void dice_gradient<T>(const DiceGradientColumns<T>&, int64_t, int64_t);    \
  template void dice_product<T>(const DiceProductColumns<T>&, int64_t, int64_t);
MAMRL_INSTANTIATE(float)
MAMRL_INSTANTIATE(double)

}  // namespace mamrl::MAMRL_SIMD
