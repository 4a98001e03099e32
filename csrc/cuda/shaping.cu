// Kernels of the differentiable games and of the loss that learns meta-values over them.
#include "ops/shaping.h"

#include <torch/csrc/stable/library.h>

#include "common/iterated_2x2.h"
#include "common/quantile_huber.h"
#include "cuda/launch.h"

namespace mamrl {
namespace {

template <class T>
__device__ T logistic_of(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

// a thread a pair of policies
template <class T>
__global__ void iterated_2x2_kernel(Iterated2x2<T> op) {
  for (int64_t b = grid_thread(); b < op.batch; b += grid_threads()) {
    Iterated2x2Lanes<T, 1> pair;
    for (int s = 0; s < 5; ++s) {
      pair.p[s][0] = logistic_of(op.logits_1[b * 5 + s]);
      pair.q[s][0] = logistic_of(op.logits_2[b * 5 + other_side(s)]);
    }
    pair.evaluate(op.payoffs, op.discount);
    for (int i = 0; i < 2; ++i) {
      op.values[i * op.batch + b] = pair.value[i][0];
      for (int j = 0; j < 2; ++j) {
        T* slopes = op.slopes + ((i * 2 + j) * op.batch + b) * 5;
        for (int s = 0; s < 5; ++s) slopes[j == 0 ? s : other_side(s)] = pair.slope[i][j][s][0];
      }
    }
  }
}

// A block a row: first a thread a predicted quantile, over the targets, then a thread a target, over the predicted.
// Each pair is looked at twice, and no sum is shared.
template <class T>
__global__ void quantile_huber_kernel(QuantileHuber<T> op) {
  T* losses = shared_memory<T>();
  const T scale = T(1) / T(op.targets);
  for (int64_t row = blockIdx.x; row < op.rows; row += gridDim.x) {
    const T *predicted = op.predicted + row * op.quantiles, *target = op.target + row * op.targets;
    T total = 0;
    for (int64_t i = threadIdx.x; i < op.quantiles; i += blockDim.x) {
      const T level = quantile_level(T(i), T(op.quantiles));
      T pulled = 0;
      for (int64_t j = 0; j < op.targets; ++j) {
        T loss, slope;
        quantile_huber_pair(target[j] - predicted[i], level, loss, slope);
        total += loss;
        pulled += slope * scale;
      }
      op.grad_predicted[row * op.quantiles + i] = -pulled;
    }
    losses[threadIdx.x] = total;
    for (int64_t j = threadIdx.x; j < op.targets; j += blockDim.x) {
      T pulled = 0;
      for (int64_t i = 0; i < op.quantiles; ++i) {
        T loss, slope;
        quantile_huber_pair(target[j] - predicted[i], quantile_level(T(i), T(op.quantiles)), loss, slope);
        pulled += slope * scale;
      }
      op.grad_target[row * op.targets + j] = pulled;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      for (unsigned i = 1; i < blockDim.x; ++i) total += losses[i];
      op.loss[row] = total * scale;
    }
    __syncthreads();
  }
}

struct Device : Gpu {
  using Gpu::Gpu;

  template <class T>
  void run(const Iterated2x2<T>& op) const {
    launch_over(op.batch, iterated_2x2_kernel<T>, op);
  }

  template <class T>
  void run(const QuantileHuber<T>& op) const {
    if (op.rows == 0) return;
    // the networks here have 16 or 32 quantiles: a warp a row
    const int threads = op.quantiles <= 32 ? 32 : 128;
    launch(std::min(op.rows, kMostBlocks), threads, threads * sizeof(T), quantile_huber_kernel<T>, op);
  }
};

}  // namespace
}  // namespace mamrl

MAMRL_CUDA_OPS(m) {
  m.impl("iterated_2x2", TORCH_BOX(&mamrl::iterated_2x2<mamrl::Device>));
  m.impl("quantile_huber", TORCH_BOX(&mamrl::quantile_huber<mamrl::Device>));
}
