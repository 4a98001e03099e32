// DiCE objectives, their gradient and their Hessian-vector product: passes over time, vectorised over chains and
// trajectories.
#include "ops/dice.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "common/columns.h"
#include "cpu/columns.h"
#include "cpu/device.h"
#include "cpu/simd.h"
#include "direct.h"

namespace mamrl {
namespace {

// narrower than elsewhere: the Hessian-vector product reads a block twice, and the block should still be in L2
constexpr int64_t kDiceBlock = 256;

std::vector<double> powers_of(double discount, int64_t horizon) {
  std::vector<double> powers(horizon, 1.0);
  for (int64_t t = 1; t < horizon; ++t) powers[t] = powers[t - 1] * discount;
  return powers;
}

// each column's factor
template <class T>
std::vector<T> column_scales(const T* grad, DiceShape shape) {
  std::vector<T> scales(shape.columns());
  for (int64_t m = 0, column = 0; m < shape.chains; ++m) {
    const T scale = dice_scale(grad, m, shape);
    for (int64_t k = 0; k < shape.trajectories; ++k) scales[column++] = scale;
  }
  return scales;
}

// the mean of each chain's columns, in their order
template <class T>
void chain_means(const std::vector<double>& sums, DiceShape shape, T* out) {
  for (int64_t m = 0; m < shape.chains; ++m) {
    double sum = 0;
    for (int64_t k = 0; k < shape.trajectories; ++k) sum += sums[m * shape.trajectories + k];
    out[m] = T(sum / double(shape.trajectories));
  }
}

struct Device : Cpu {
  using Cpu::Cpu;

  template <class T>
  void run(const DiceObjective<T>& objective) const {
    const DiceShape& shape = objective.shape;
    const auto powers = powers_of(objective.discount, shape.horizon);
    std::vector<double> totals(objective.loaded ? 0 : shape.columns(), 0.0);
    DiceWeightsColumns<T> op;
    op.horizon = shape.horizon;
    op.columns = shape.columns();
    op.rewards = objective.rewards;
    op.powers = powers.data();
    op.pair_weights = objective.pair_weights;
    op.totals = objective.loaded ? nullptr : totals.data();
    for_column_blocks(op, objective.loaded ? kColumnBlock : kDiceBlock, simd_kernels<T>().dice_pair_weights);
    if (objective.loaded) {
      for (int64_t m = 0; m < shape.chains; ++m) objective.objective[m] = T(0);
    } else {
      chain_means<T>(totals, shape, objective.objective);
    }
  }

  template <class T>
  void run(const DiceGradient<T>& gradient) const {
    const DiceShape& shape = gradient.shape;
    const auto powers = powers_of(gradient.discount, shape.horizon);
    const auto scales = column_scales<T>(gradient.grad, shape);
    DiceGradientColumns<T> op;
    op.horizon = shape.horizon;
    op.columns = shape.columns();
    op.pair_weights = gradient.pair_weights;
    op.baseline = gradient.baseline;
    op.powers = powers.data();
    op.scales = scales.data();
    op.gradient = gradient.gradient;
    for_column_blocks(op, kColumnBlock, simd_kernels<T>().dice_gradient);
  }

  template <class T>
  void run(const DiceProduct<T>& product) const {
    const DiceShape& shape = product.shape;
    const auto powers = powers_of(product.discount, shape.horizon);
    const auto scales = column_scales<T>(product.grad, shape);
    std::vector<double> sums(shape.columns(), 0.0), carried(shape.columns(), 0.0);
    DiceProductColumns<T> op;
    op.horizon = shape.horizon;
    op.columns = shape.columns();
    op.vector = product.vector;
    op.pair_weights = product.pair_weights;
    op.baseline = product.baseline;
    op.powers = powers.data();
    op.scales = scales.data();
    op.product = product.product;
    op.sums = sums.data();
    op.carried = carried.data();
    for_column_blocks(op, kDiceBlock, simd_kernels<T>().dice_product);
    if (product.grad_grad) chain_means<T>(sums, shape, product.grad_grad);
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  MAMRL_CPU_OP(m, dice_objective, mamrl::dice_objective<mamrl::Device>);
  MAMRL_CPU_OP(m, loaded_dice_objective, mamrl::loaded_dice_objective<mamrl::Device>);
  MAMRL_CPU_OP(m, dice_gradient, mamrl::dice_gradient<mamrl::Device>);
  MAMRL_CPU_OP(m, dice_hessian_product, mamrl::dice_hessian_product<mamrl::Device>);
  MAMRL_CPU_OP(m, dice_derivatives, mamrl::dice_derivatives<mamrl::Device>);
}
