// DiCE objectives, their gradient and their Hessian-vector product: passes over time, vectorised over chains and
// trajectories.
#include "common/dice.h"

#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "common/check.h"
#include "cpu/columns.h"

namespace mamrl {
namespace {

// narrower than elsewhere: the Hessian-vector product reads a block twice, and the block should still be in L2
constexpr int64_t kDiceBlock = 256;

struct Shape {
  int64_t horizon, chains, trajectories;
  int64_t columns() const { return chains * trajectories; }
};

Shape shape_of(const char* name, const Tensor& t) {
  check_floating(name, t);
  MAMRL_CHECK(t.dim() == 3, name, " has shape ", shape_text(t), ", expected (T, M, K)");
  return {t.size(0), t.size(1), t.size(2)};
}

void check_like(const char* name, const Tensor& t, const Tensor& like) {
  check_dtype(name, t, like.scalar_type());
  check_same_shape(name, t, like);
}

std::vector<double> powers_of(double discount, int64_t horizon) {
  std::vector<double> powers(horizon, 1.0);
  for (int64_t t = 1; t < horizon; ++t) powers[t] = powers[t - 1] * discount;
  return powers;
}

// each column's factor: the gradient of its chain's objective, over the number of trajectories
template <class T>
std::vector<double> column_scales(const Tensor& grad, Shape shape) {
  const T* g = grad.const_data_ptr<T>();
  std::vector<double> scales(shape.columns());
  for (int64_t m = 0, column = 0; m < shape.chains; ++m)
    for (int64_t k = 0; k < shape.trajectories; ++k) scales[column++] = double(g[m]) / double(shape.trajectories);
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
  check_like("rewards", rewards, log_probs);
  check_like("baseline", baseline, log_probs);
  Tensor objective = torch::stable::new_empty(log_probs, {shape.chains});
  Tensor pair_weights = torch::stable::empty_like(rewards);
  if (rewards.numel() == 0) return {torch::stable::zero_(objective), pair_weights};
  const auto powers = powers_of(discount, shape.horizon);
  dispatch_floating(rewards, [&]<class T>() {
    const T* __restrict__ r = rewards.const_data_ptr<T>();
    T* __restrict__ rho = pair_weights.mutable_data_ptr<T>();
    std::vector<double> totals(shape.columns(), 0.0);
    const int64_t columns = shape.columns();
    for_column_blocks(shape.horizon, columns, kDiceBlock, [&](int64_t begin, int64_t end) {
      double* __restrict__ later = totals.data();
      for (int64_t t = shape.horizon - 1; t >= 0; --t) {
        const double power = powers[t];
        for (int64_t b = begin; b < end; ++b) {
          later[b] = dice_pair_weight<T>(later[b], r[t * columns + b], power);
          rho[t * columns + b] = T(later[b]);
        }
      }
    });
    chain_means<T>(totals, shape, objective.mutable_data_ptr<T>());
  });
  return {objective, pair_weights};
}

std::tuple<Tensor, Tensor> loaded_dice_objective(const Tensor& log_probs, const Tensor& advantages_, double discount) {
  const Tensor advantages = row_major(advantages_);
  const Shape shape = shape_of("log_probs", log_probs);
  check_like("advantages", advantages, log_probs);
  Tensor objective = torch::stable::new_zeros(log_probs, {shape.chains});
  Tensor pair_weights = torch::stable::empty_like(advantages);
  const auto powers = powers_of(discount, shape.horizon);
  dispatch_floating(advantages, [&]<class T>() {
    const T* __restrict__ a = advantages.const_data_ptr<T>();
    T* __restrict__ rho = pair_weights.mutable_data_ptr<T>();
    const int64_t columns = shape.columns();
    for_column_blocks(shape.horizon, columns, kColumnBlock, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < shape.horizon; ++t) {
        const double power = powers[t];
        for (int64_t i = t * columns + begin; i < t * columns + end; ++i) rho[i] = T(power * double(a[i]));
      }
    });
  });
  return {objective, pair_weights};
}

Tensor dice_gradient(const Tensor& log_probs, const Tensor& grad_, const Tensor& pair_weights_,
                     const std::optional<Tensor>& baseline_, double discount) {
  const Tensor grad = row_major(grad_), pair_weights = row_major(pair_weights_);
  const auto baseline = row_major(baseline_);
  const Shape shape = shape_of("pair_weights", pair_weights);
  check_like("log_probs", log_probs, pair_weights);
  check_dtype("grad", grad, pair_weights.scalar_type());
  check_shape("grad", grad, {shape.chains});
  if (baseline) check_like("baseline", *baseline, pair_weights);
  Tensor out = torch::stable::empty_like(pair_weights);
  if (out.numel() == 0) return out;
  const auto powers = powers_of(discount, shape.horizon);
  dispatch_floating(pair_weights, [&]<class T>() {
    const T* __restrict__ rho = pair_weights.const_data_ptr<T>();
    const T* __restrict__ b = data_or_null<T>(baseline);
    T* __restrict__ gradient = out.mutable_data_ptr<T>();
    const auto scales = column_scales<T>(grad, shape);
    const int64_t columns = shape.columns();
    for_column_blocks(shape.horizon, columns, kColumnBlock, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < shape.horizon; ++t) {
        const double power = powers[t];
        const int64_t row = t * columns;
        for (int64_t c = begin; c < end; ++c)
          gradient[row + c] = T(scales[c] * dice_weight<T>(rho[row + c], b ? b[row + c] : T(0), power));
      }
    });
  });
  return out;
}

std::tuple<Tensor, Tensor> dice_hessian_product(const Tensor& log_probs, const Tensor& vector_, const Tensor& grad_,
                                                const Tensor& pair_weights_, const std::optional<Tensor>& baseline_,
                                                double discount) {
  const Tensor vector = row_major(vector_), grad = row_major(grad_), pair_weights = row_major(pair_weights_);
  const auto baseline = row_major(baseline_);
  const Shape shape = shape_of("pair_weights", pair_weights);
  check_like("log_probs", log_probs, pair_weights);
  check_like("vector", vector, pair_weights);
  check_dtype("grad", grad, pair_weights.scalar_type());
  check_shape("grad", grad, {shape.chains});
  if (baseline) check_like("baseline", *baseline, pair_weights);
  Tensor product = torch::stable::empty_like(pair_weights), grad_grad = torch::stable::empty_like(grad);
  if (product.numel() == 0) return {product, torch::stable::zero_(grad_grad)};
  const auto powers = powers_of(discount, shape.horizon);
  dispatch_floating(pair_weights, [&]<class T>() {
    const T* __restrict__ v = vector.const_data_ptr<T>();
    const T* __restrict__ rho = pair_weights.const_data_ptr<T>();
    const T* __restrict__ b = data_or_null<T>(baseline);
    T* __restrict__ out = product.mutable_data_ptr<T>();
    const auto scales = column_scales<T>(grad, shape);
    const int64_t columns = shape.columns();
    std::vector<double> sums(columns, 0.0);
    for_column_blocks(shape.horizon, columns, kDiceBlock, [&](int64_t begin, int64_t end) {
      double carried[kDiceBlock] = {};
      for (int64_t t = 0; t < shape.horizon; ++t) {
        const double power = powers[t];
        for (int64_t c = begin; c < end; ++c) {
          const int64_t i = t * columns + c;
          const T diagonal = b ? b[i] : T(0);
          carried[c - begin] += double(v[i]);
          sums[c] += double(v[i]) * dice_weight<T>(rho[i], diagonal, power);
          out[i] = T(scales[c] * dice_earlier_product<T>(carried[c - begin], v[i], rho[i], diagonal, power));
        }
      }
      std::fill(carried, carried + kDiceBlock, 0.0);
      for (int64_t t = shape.horizon - 1; t >= 0; --t) {
        for (int64_t c = begin; c < end; ++c) {
          const int64_t i = t * columns + c;
          out[i] = T(double(out[i]) + scales[c] * carried[c - begin]);
          carried[c - begin] = dice_later_product<T>(carried[c - begin], v[i], rho[i]);
        }
      }
    });
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
