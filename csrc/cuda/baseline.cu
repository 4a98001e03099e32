// The linear baseline of Duan et al. 2016: a block fits one chain. The normal equations are built and solved in double;
// where they stay singular the chain's predictions are NaN, since a sentence would have to wait for the device.
#include "ops/baseline.h"

#include <torch/csrc/stable/library.h>

#include "common/normal_equations.h"
#include "cuda/launch.h"

namespace mamrl {
namespace {

// The block as a team for cholesky_solve.
struct BlockTeam {
  int64_t rank, size;
  __device__ BlockTeam() : rank(threadIdx.x), size(blockDim.x) {}
  __device__ void sync() const { __syncthreads(); }
};

__device__ inline double not_a_number() { return std::nan(""); }

// ---- observations that are states ----

// what is summed by state: how many samples, their returns, their time features, their returns times the time features
constexpr int kSums = 2 + 2 * kTimeFeatures;

// Threads that share a state go over every `slices`-th time step each; their sums are then added in order.
MAMRL_FN int64_t num_slices(int64_t states) { return states < kThreads ? kThreads / states : 1; }

// scratch of a chain: sums by slice (slices, S, kSums), then counts (S), returns (S), times (S, 4) and weights (S)
MAMRL_FN int64_t state_scratch(int64_t states) {
  return num_slices(states) * states * kSums + states * (3 + kTimeFeatures);
}

template <class T>
__device__ void sum_states(const LinearBaseline<T>& op, int64_t chain, double* sums) {
  const int64_t states = op.num_states, slices = num_slices(states);
  for (int64_t item = threadIdx.x; item < slices * states; item += blockDim.x) {
    const int64_t state = item % states;
    double total[kSums] = {};
    for (int64_t t = item / states; t < op.horizon; t += slices) {
      const int64_t row = (t * op.chains + chain) * op.trajectories;
      double count = 0, returns = 0, z[kTimeFeatures];
      for (int64_t i = row; i < row + op.trajectories; ++i) {
        const bool here = op.states[i] == state;
        count += here ? 1 : 0;
        returns += here ? double(op.returns[i]) : 0;
      }
      time_features(t, z);
      total[0] += count;
      total[1] += returns;
      for (int p = 0; p < kTimeFeatures; ++p) {
        total[2 + p] += z[p] * count;
        total[2 + kTimeFeatures + p] += z[p] * returns;
      }
    }
    for (int q = 0; q < kSums; ++q) sums[item * kSums + q] = total[q];
  }
  __syncthreads();
}

template <class T>
__global__ void __launch_bounds__(kThreads) states_kernel(LinearBaseline<T> op, double* scratch) {
  const int64_t states = op.num_states, slices = num_slices(states);
  double* const time_weights = shared_memory<double>();
  for (int64_t chain = blockIdx.x; chain < op.chains; chain += gridDim.x) {
    double* const sums = scratch + chain * state_scratch(states);
    double *const counts = sums + slices * states * kSums, *const returns = counts + states;
    double *const times = returns + states, *const weights = times + states * kTimeFeatures;
    sum_states(op, chain, sums);
    for (int64_t s = threadIdx.x; s < states; s += blockDim.x) {
      double* const total = sums + s * kSums;
      for (int64_t slice = 1; slice < slices; ++slice)
        for (int q = 0; q < kSums; ++q) total[q] += sums[(slice * states + s) * kSums + q];
      counts[s] = total[0];
      returns[s] = total[1];
      for (int p = 0; p < kTimeFeatures; ++p) times[s * kTimeFeatures + p] = total[2 + p];
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      StateSums system = {states, counts, returns, times, {}, {}};
      for (int64_t s = 0; s < states; ++s)
        for (int p = 0; p < kTimeFeatures; ++p) system.time_returns[p] += sums[s * kSums + 2 + kTimeFeatures + p];
      for (int64_t t = 0; t < op.horizon; ++t) {
        double z[kTimeFeatures];
        time_features(t, z);
        for (int p = 0; p < kTimeFeatures; ++p)
          for (int q = 0; q < kTimeFeatures; ++q) system.time_gram[p][q] += z[p] * z[q] * double(op.trajectories);
      }
      if (!system.solve_with_enough_ridge(op.ridge, weights, time_weights)) time_weights[0] = not_a_number();
    }
    __syncthreads();
    for (int64_t j = threadIdx.x; j < op.horizon * op.trajectories; j += blockDim.x) {
      const int64_t t = j / op.trajectories;
      const int64_t i = (t * op.chains + chain) * op.trajectories + j % op.trajectories;
      double z[kTimeFeatures], at_time = 0;
      time_features(t, z);
      for (int p = 0; p < kTimeFeatures; ++p) at_time += z[p] * time_weights[p];
      op.predictions[i] = T(weights[op.states[i]] + at_time);
    }
    __syncthreads();
  }
}

// ---- observations that are vectors ----

// Samples that lie in shared memory at a time, each a row [obs, obs^2, time features, return].
constexpr int64_t kTileSamples = 32;

template <class T>
struct VectorFit {
  LinearBaseline<T> op;
  double*
      scratch;  // a chain's Gram matrix with the return as last column (order + 1, order + 1), matrix and right side

  MAMRL_METHOD int64_t order() const { return 2 * op.size + kTimeFeatures; }
  MAMRL_METHOD int64_t width() const { return order() + 1; }
  MAMRL_METHOD int64_t scratch_size() const { return width() * width() + order() * order() + order(); }

  // one number of a sample's row
  __device__ double feature(int64_t sample, int64_t t, int64_t column) const {
    if (column < 2 * op.size) {
      const double x = double(op.observations[sample * op.size + column % op.size]);
      return column < op.size ? x : x * x;
    }
    if (column == order()) return double(op.returns[sample]);
    double z[kTimeFeatures];
    time_features(t, z);
    return z[column - 2 * op.size];
  }
};

// gram += X^T X, its lower triangle, over all of a chain's samples in their order
template <class T>
__device__ void sum_samples(const VectorFit<T>& fit, int64_t chain, double* tile, double* gram) {
  const LinearBaseline<T>& op = fit.op;
  const int64_t width = fit.width(), samples = op.horizon * op.trajectories;
  for (int64_t entry = threadIdx.x; entry < width * width; entry += blockDim.x) gram[entry] = 0;
  for (int64_t first = 0; first < samples; first += kTileSamples) {
    const int64_t rest = samples - first, count = rest < kTileSamples ? rest : kTileSamples;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < count * width; i += blockDim.x) {
      const int64_t j = first + i / width, t = j / op.trajectories;
      tile[i] = fit.feature((t * op.chains + chain) * op.trajectories + j % op.trajectories, t, i % width);
    }
    __syncthreads();
    for (int64_t entry = threadIdx.x; entry < width * width; entry += blockDim.x) {
      const int64_t row = entry / width, column = entry % width;
      if (column > row) continue;
      double sum = gram[entry];
      for (int64_t n = 0; n < count; ++n) sum += tile[n * width + row] * tile[n * width + column];
      gram[entry] = sum;
    }
  }
  __syncthreads();
}

template <class T>
__global__ void __launch_bounds__(kThreads) vectors_kernel(VectorFit<T> fit) {
  const LinearBaseline<T>& op = fit.op;
  const int64_t order = fit.order(), width = fit.width();
  for (int64_t chain = blockIdx.x; chain < op.chains; chain += gridDim.x) {
    double* const gram = fit.scratch + chain * fit.scratch_size();
    double *const matrix = gram + width * width, *const right = matrix + order * order;
    sum_samples(fit, chain, shared_memory<double>(), gram);
    bool solved = false;
    double ridge = op.ridge;
    for (int attempt = 0; attempt < kRidgeAttempts && !solved; ++attempt, ridge *= 10) {
      // the solver reads the upper triangle
      for (int64_t i = threadIdx.x; i < order * order; i += blockDim.x)
        matrix[i] = i / order <= i % order ? gram[i % order * width + i / order] : 0;
      for (int64_t i = threadIdx.x; i < order; i += blockDim.x) right[i] = gram[order * width + i];
      __syncthreads();
      solved = cholesky_solve(matrix, ridge, right, order, BlockTeam());
      __syncthreads();
    }
    for (int64_t j = threadIdx.x; j < op.horizon * op.trajectories; j += blockDim.x) {
      const int64_t t = j / op.trajectories;
      const int64_t sample = (t * op.chains + chain) * op.trajectories + j % op.trajectories;
      double sum = 0;
      for (int64_t column = 0; column < order; ++column) sum += fit.feature(sample, t, column) * right[column];
      op.predictions[sample] = T(solved ? sum : not_a_number());
    }
    __syncthreads();
  }
}

struct Device : Gpu {
  using Gpu::Gpu;

  template <class T>
  void run(const LinearBaseline<T>& op, const Tensor&) const {
    const int64_t blocks = std::min(op.chains, kMostBlocks);
    if (op.num_states) {
      const auto memory = scratch<double>(op.chains * state_scratch(op.num_states));
      launch(blocks, kThreads, kTimeFeatures * sizeof(double), states_kernel<T>, op, memory.data());
      return;
    }
    VectorFit<T> fit = {op, nullptr};
    const auto memory = scratch<double>(op.chains * fit.scratch_size());
    fit.scratch = memory.data();
    const int64_t tile = kTileSamples * fit.width() * int64_t(sizeof(double));
    MAMRL_CHECK(tile <= most_shared(), "observations of ", op.size, " numbers do not fit a block's ", most_shared(),
                " bytes of shared memory in linear_baseline");
    launch(blocks, kThreads, tile, vectors_kernel<T>, fit);
  }
};

}  // namespace
}  // namespace mamrl

MAMRL_CUDA_OPS(m) { m.impl("linear_baseline", TORCH_BOX(&mamrl::linear_baseline<mamrl::Device>)); }
