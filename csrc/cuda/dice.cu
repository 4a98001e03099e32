// DiCE objectives, their gradient and their Hessian-vector product: a thread takes one column (a trajectory) through
// all of time; then a block sums each chain's columns.
#include "common/dice.h"

#include <torch/csrc/stable/library.h>

#include "cuda/columns.h"
#include "cuda/reduce.h"
#include "ops/dice.h"

namespace mamrl {
namespace {

__global__ void powers_kernel(double discount, int64_t horizon, double* powers) {
  for (int64_t t = grid_thread(); t < horizon; t += grid_threads()) powers[t] = pow(discount, double(t));
}

template <class T>
__global__ void pair_weights_kernel(DiceObjective<T> op, const double* powers, double* totals) {
  const int64_t columns = op.shape.columns();
  for (int64_t column = grid_thread(); column < columns; column += grid_threads()) {
    double later = 0;
    for (int64_t end = op.shape.horizon; end > 0; end -= kRowsAhead) {
      T rewards[kRowsAhead], power[kRowsAhead];
#pragma unroll
      for (int r = 0; r < kRowsAhead; ++r) {
        const int64_t t = row_before(end, r);
        rewards[r] = op.rewards[t * columns + column];
        power[r] = T(powers[t]);
      }
#pragma unroll
      for (int r = 0; r < kRowsAhead; ++r) {
        const int64_t t = end - 1 - r;
        if (t < 0) continue;
        later = dice_pair_weight<T>(later, rewards[r], power[r]);
        op.pair_weights[t * columns + column] = T(later);
      }
    }
    totals[column] = later;
  }
}

template <class T>
__global__ void loaded_weights_kernel(DiceObjective<T> op, const double* powers) {
  const int64_t columns = op.shape.columns(), count = op.shape.horizon * columns;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    op.pair_weights[i] = T(powers[i / columns]) * op.rewards[i];
  }
}

template <class T>
__global__ void zero_kernel(T* values, int64_t count) {
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) values[i] = T(0);
}

// a block a chain
template <class T>
__global__ void chain_means_kernel(const double* sums, int64_t chains, int64_t trajectories, T* means) {
  for (int64_t chain = blockIdx.x; chain < chains; chain += gridDim.x) {
    double sum = 0;
    for (int64_t k = threadIdx.x; k < trajectories; k += blockDim.x) sum += sums[chain * trajectories + k];
    sum = block_sum(sum, shared_memory<double>());
    if (threadIdx.x == 0) means[chain] = T(sum / double(trajectories));
  }
}

template <class T>
__global__ void gradient_kernel(DiceGradient<T> op, const double* powers) {
  const int64_t columns = op.shape.columns(), count = op.shape.horizon * columns;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const int64_t chain = i % columns / op.shape.trajectories;
    const T scale = dice_scale(op.grad, chain, op.shape);
    const T baseline = op.baseline ? op.baseline[i] : T(0);
    op.gradient[i] = scale * dice_weight<T>(op.pair_weights[i], baseline, T(powers[i / columns]));
  }
}

// Forwards over a column: what the earlier times add to the product. Returns the sum of vector times weight.
template <class T>
__device__ double add_earlier(const DiceProduct<T>& op, const double* powers, int64_t column, T scale) {
  const int64_t columns = op.shape.columns(), horizon = op.shape.horizon;
  double carried = 0, sum = 0;
  for (int64_t begin = 0; begin < horizon; begin += kRowsAhead) {
    T vector[kRowsAhead], weight[kRowsAhead], baseline[kRowsAhead], power[kRowsAhead];
#pragma unroll
    for (int r = 0; r < kRowsAhead; ++r) {
      const int64_t t = row_after(begin, r, horizon), i = t * columns + column;
      vector[r] = op.vector[i];
      weight[r] = op.pair_weights[i];
      baseline[r] = op.baseline ? op.baseline[i] : T(0);
      power[r] = T(powers[t]);
    }
#pragma unroll
    for (int r = 0; r < kRowsAhead; ++r) {
      if (begin + r >= horizon) continue;
      carried += double(vector[r]);
      sum += double(vector[r] * dice_weight<T>(weight[r], baseline[r], power[r]));
      op.product[(begin + r) * columns + column] =
          scale * dice_earlier_product<T>(carried, vector[r], weight[r], baseline[r], power[r]);
    }
  }
  return sum;
}

// Backwards over a column: what the later times add.
template <class T>
__device__ void add_later(const DiceProduct<T>& op, int64_t column, T scale) {
  const int64_t columns = op.shape.columns();
  double carried = 0;
  for (int64_t end = op.shape.horizon; end > 0; end -= kRowsAhead) {
    T vector[kRowsAhead], weight[kRowsAhead], product[kRowsAhead];
#pragma unroll
    for (int r = 0; r < kRowsAhead; ++r) {
      const int64_t i = row_before(end, r) * columns + column;
      vector[r] = op.vector[i];
      weight[r] = op.pair_weights[i];
      product[r] = op.product[i];
    }
#pragma unroll
    for (int r = 0; r < kRowsAhead; ++r) {
      const int64_t t = end - 1 - r;
      if (t < 0) continue;
      op.product[t * columns + column] = product[r] + scale * T(carried);
      carried = dice_later_product<T>(carried, vector[r], weight[r]);
    }
  }
}

template <class T>
__global__ void product_kernel(DiceProduct<T> op, const double* powers, double* sums) {
  for (int64_t column = grid_thread(); column < op.shape.columns(); column += grid_threads()) {
    const T scale = dice_scale(op.grad, column / op.shape.trajectories, op.shape);
    sums[column] = add_earlier(op, powers, column, scale);
    add_later(op, column, scale);
  }
}

struct Device : Gpu {
  using Gpu::Gpu;

  template <class T>
  void run(const DiceObjective<T>& op) const {
    const auto powers = powers_of(op.discount, op.shape.horizon);
    if (op.loaded) {
      launch_over(op.shape.horizon * op.shape.columns(), loaded_weights_kernel<T>, op, powers.data());
      launch_over(op.shape.chains, zero_kernel<T>, op.objective, op.shape.chains);
      return;
    }
    const auto totals = scratch<double>(op.shape.columns());
    launch_over(op.shape.columns(), pair_weights_kernel<T>, op, powers.data(), totals.data());
    means(totals, op.shape, op.objective);
  }

  template <class T>
  void run(const DiceGradient<T>& op) const {
    const auto powers = powers_of(op.discount, op.shape.horizon);
    launch_over(op.shape.horizon * op.shape.columns(), gradient_kernel<T>, op, powers.data());
  }

  template <class T>
  void run(const DiceProduct<T>& op) const {
    const auto powers = powers_of(op.discount, op.shape.horizon), sums = scratch<double>(op.shape.columns());
    launch_over(op.shape.columns(), product_kernel<T>, op, powers.data(), sums.data());
    if (op.grad_grad) means(sums, op.shape, op.grad_grad);
  }

 private:
  Scratch<double> powers_of(double discount, int64_t horizon) const {
    auto powers = scratch<double>(horizon);
    launch_over(horizon, powers_kernel, discount, horizon, powers.data());
    return powers;
  }

  template <class T>
  void means(const Scratch<double>& sums, const DiceShape& shape, T* out) const {
    if (shape.chains == 0) return;
    launch(std::min(shape.chains, kMostBlocks), kThreads, kBlockSumBytes, chain_means_kernel<T>, sums.data(),
           shape.chains, shape.trajectories, out);
  }
};

}  // namespace
}  // namespace mamrl

MAMRL_CUDA_OPS(m) {
  m.impl("dice_objective", TORCH_BOX(&mamrl::dice_objective<mamrl::Device>));
  m.impl("loaded_dice_objective", TORCH_BOX(&mamrl::loaded_dice_objective<mamrl::Device>));
  m.impl("dice_gradient", TORCH_BOX(&mamrl::dice_gradient<mamrl::Device>));
  m.impl("dice_hessian_product", TORCH_BOX(&mamrl::dice_hessian_product<mamrl::Device>));
  m.impl("dice_derivatives", TORCH_BOX(&mamrl::dice_derivatives<mamrl::Device>));
}
