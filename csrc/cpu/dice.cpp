// DiCE objectives, their gradient and their Hessian-vector product: passes over time, vectorised over chains and
// trajectories.
#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "common/check.h"
#include "cpu/columns.h"
#include "cpu/simd.h"

namespace mamrl {
namespace {

// narrower than elsewhere: the Hessian-vector product reads a block twice, and the block should still be in L2
constexpr int64_t kDiceBlock = 256;

// (T, M, K), or (T, K) for one chain: then what belongs to a chain has no dimension
struct Shape {
  int64_t horizon, chains, trajectories, dims;

  int64_t columns() const { return chains * trajectories; }
  Tensor empty_chains(const Tensor& like) const { return empty_row_major(like, &chains, dims - 2); }
};

Shape shape_of(const char* name, const Tensor& t) {
  check_floating(name, t);
  const int64_t dims = t.dim();
  MAMRL_CHECK(dims == 2 || dims == 3, name, " has shape ", shape_text(t), ", expected (T, M, K) or (T, K)");
  const Shape shape{t.size(0), dims == 3 ? t.size(1) : 1, t.size(dims - 1), dims};
  MAMRL_CHECK(shape.trajectories > 0, name, " has no trajectory, expected K at least 1");
  return shape;
}

std::vector<double> powers_of(double discount, int64_t horizon) {
  std::vector<double> powers(horizon, 1.0);
  for (int64_t t = 1; t < horizon; ++t) powers[t] = powers[t - 1] * discount;
  return powers;
}

// each column's factor: the gradient of its chain's objective, over the number of trajectories
template <class T>
std::vector<T> column_scales(const Tensor& grad, Shape shape) {
  const T* g = grad.const_data_ptr<T>();
  std::vector<T> scales(shape.columns());
  for (int64_t m = 0, column = 0; m < shape.chains; ++m) {
    const T scale = g[m] / T(shape.trajectories);
    for (int64_t k = 0; k < shape.trajectories; ++k) scales[column++] = scale;
  }
  return scales;
}

// the mean of each chain's columns, in their order
template <class T>
void chain_means(const std::vector<double>& sums, Shape shape, T* out) {
  for (int64_t m = 0; m < shape.chains; ++m) {
    double sum = 0;
    for (int64_t k = 0; k < shape.trajectories; ++k) sum += sums[m * shape.trajectories + k];
    out[m] = T(sum / double(shape.trajectories));
  }
}

std::tuple<Tensor, Tensor> dice_objective(const Tensor& log_probs, const Tensor& rewards_, const Tensor& baseline,
                                          double discount) {
  const Tensor rewards = row_major(rewards_);
  const Shape shape = shape_of("log_probs", log_probs);
  check_like("rewards", rewards, "log_probs", log_probs);
  check_like("baseline", baseline, "log_probs", log_probs);
  check_fraction("discount", discount);
  Tensor objective = shape.empty_chains(rewards), pair_weights = empty_row_major(rewards);
  const auto powers = powers_of(discount, shape.horizon);
  std::vector<double> totals(shape.columns(), 0.0);
  dispatch_floating(rewards, [&]<class T>() {
    DiceWeightsColumns<T> op;
    op.horizon = shape.horizon;
    op.columns = shape.columns();
    op.rewards = rewards.const_data_ptr<T>();
    op.powers = powers.data();
    op.pair_weights = pair_weights.mutable_data_ptr<T>();
    op.totals = totals.data();
    for_column_blocks(op, kDiceBlock, simd_kernels<T>().dice_pair_weights);
    chain_means<T>(totals, shape, objective.mutable_data_ptr<T>());
  });
  return {objective, pair_weights};
}

std::tuple<Tensor, Tensor> loaded_dice_objective(const Tensor& log_probs, const Tensor& advantages_, double discount) {
  const Tensor advantages = row_major(advantages_);
  const Shape shape = shape_of("log_probs", log_probs);
  check_like("advantages", advantages, "log_probs", log_probs);
  check_fraction("discount", discount);
  Tensor objective = shape.empty_chains(advantages), pair_weights = empty_row_major(advantages);
  const auto powers = powers_of(discount, shape.horizon);
  dispatch_floating(advantages, [&]<class T>() {
    DiceWeightsColumns<T> op;
    op.horizon = shape.horizon;
    op.columns = shape.columns();
    op.rewards = advantages.const_data_ptr<T>();
    op.powers = powers.data();
    op.pair_weights = pair_weights.mutable_data_ptr<T>();
    op.totals = nullptr;
    for_column_blocks(op, kColumnBlock, simd_kernels<T>().dice_pair_weights);
    T* value = objective.mutable_data_ptr<T>();
    for (int64_t m = 0; m < shape.chains; ++m) value[m] = T(0);
  });
  return {objective, pair_weights};
}

// what both derivatives are given
Shape check_derivative(const Tensor& log_probs, const Tensor& grad, const Tensor& pair_weights,
                       const std::optional<Tensor>& baseline, double discount) {
  const Shape shape = shape_of("log_probs", log_probs);
  check_like("pair_weights", pair_weights, "log_probs", log_probs);
  check_dtype("grad", grad, log_probs.scalar_type(), "log_probs");
  MAMRL_CHECK(grad.dim() == shape.dims - 2 && grad.numel() == shape.chains, "grad has shape ", shape_text(grad),
              ", expected one number a chain of log_probs, ", shape_text(log_probs));
  if (baseline) check_like("baseline", *baseline, "log_probs", log_probs);
  check_fraction("discount", discount);
  return shape;
}

Tensor dice_gradient(const Tensor& log_probs, const Tensor& grad_, const Tensor& pair_weights_,
                     const std::optional<Tensor>& baseline_, double discount) {
  const Tensor grad = row_major(grad_), pair_weights = row_major(pair_weights_);
  const auto baseline = row_major(baseline_);
  const Shape shape = check_derivative(log_probs, grad, pair_weights, baseline, discount);
  Tensor gradient = empty_row_major(pair_weights);
  const auto powers = powers_of(discount, shape.horizon);
  dispatch_floating(pair_weights, [&]<class T>() {
    const auto scales = column_scales<T>(grad, shape);
    DiceGradientColumns<T> op;
    op.horizon = shape.horizon;
    op.columns = shape.columns();
    op.pair_weights = pair_weights.const_data_ptr<T>();
    op.baseline = data_or_null<T>(baseline);
    op.powers = powers.data();
    op.scales = scales.data();
    op.gradient = gradient.mutable_data_ptr<T>();
    for_column_blocks(op, kColumnBlock, simd_kernels<T>().dice_gradient);
  });
  return gradient;
}

std::tuple<Tensor, Tensor> dice_hessian_product(const Tensor& log_probs, const Tensor& vector_, const Tensor& grad_,
                                                const Tensor& pair_weights_, const std::optional<Tensor>& baseline_,
                                                double discount) {
  const Tensor vector = row_major(vector_), grad = row_major(grad_), pair_weights = row_major(pair_weights_);
  const auto baseline = row_major(baseline_);
  const Shape shape = check_derivative(log_probs, grad, pair_weights, baseline, discount);
  check_like("vector", vector, "log_probs", log_probs);
  Tensor product = empty_row_major(pair_weights), grad_grad = empty_row_major(grad);
  const auto powers = powers_of(discount, shape.horizon);
  std::vector<double> sums(shape.columns(), 0.0), carried(shape.columns(), 0.0);
  dispatch_floating(pair_weights, [&]<class T>() {
    const auto scales = column_scales<T>(grad, shape);
    DiceProductColumns<T> op;
    op.horizon = shape.horizon;
    op.columns = shape.columns();
    op.vector = vector.const_data_ptr<T>();
    op.pair_weights = pair_weights.const_data_ptr<T>();
    op.baseline = data_or_null<T>(baseline);
    op.powers = powers.data();
    op.scales = scales.data();
    op.product = product.mutable_data_ptr<T>();
    op.sums = sums.data();
    op.carried = carried.data();
    for_column_blocks(op, kDiceBlock, simd_kernels<T>().dice_product);
    chain_means<T>(sums, shape, grad_grad.mutable_data_ptr<T>());
  });
  return {product, grad_grad};
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("dice_objective", TORCH_BOX(&mamrl::dice_objective));
  m.impl("loaded_dice_objective", TORCH_BOX(&mamrl::loaded_dice_objective));
  m.impl("dice_gradient", TORCH_BOX(&mamrl::dice_gradient));
  m.impl("dice_hessian_product", TORCH_BOX(&mamrl::dice_hessian_product));
}
