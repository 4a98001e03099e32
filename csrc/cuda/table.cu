// Reads the rows of per-chain tables, and the transpose, which sums into them without atomics: in a fixed order.
#include "ops/table.h"

#include <torch/csrc/stable/library.h>

#include "cuda/launch.h"

namespace mamrl {
namespace {

template <class T>
__global__ void lookup_kernel(TableLookup<T> op) {
  const int64_t columns = op.chains * op.trajectories, count = op.horizon * columns;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    op.out[i] = op.table[i % columns / op.trajectories * op.rows + op.index[i]];
  }
}

// rows of a chain's table that one block sums
constexpr int64_t kBlockRows = 32;

// A thread has a row and every `slices`-th time step: it goes over those and adds what is its own. Then the slices are
// added in order. Thousands of values can meet in one row: sums run in double.
template <class T>
__global__ void accumulate_kernel(TableAccumulate<T> op) {
  double* sums = shared_memory<double>();
  const int64_t groups = (op.rows + kBlockRows - 1) / kBlockRows;
  for (int64_t task = blockIdx.x; task < op.chains * groups; task += gridDim.x) {
    const int64_t chain = task / groups, first = task % groups * kBlockRows;
    const int64_t rows = op.rows - first < kBlockRows ? op.rows - first : kBlockRows;
    const int64_t slices = blockDim.x / rows, slice = threadIdx.x / rows, row = first + threadIdx.x % rows;
    double sum = 0;
    if (slice < slices) {
      for (int64_t t = slice; t < op.horizon; t += slices) {
        const int64_t begin = (t * op.chains + chain) * op.trajectories;
        for (int64_t i = begin; i < begin + op.trajectories; ++i) {
          if (op.index[i] == row) sum += double(op.values[i]);
        }
      }
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (slice == 0) {
      for (int64_t s = 1; s < slices; ++s) sum += sums[s * rows + threadIdx.x];
      op.out[chain * op.rows + row] = T(sum);
    }
    __syncthreads();
  }
}

struct Device : Gpu {
  using Gpu::Gpu;

  template <class T>
  void run(const TableLookup<T>& op) const {
    launch_over(op.horizon * op.chains * op.trajectories, lookup_kernel<T>, op);
  }

  template <class T>
  void run(const TableAccumulate<T>& op) const {
    const int64_t tasks = op.chains * ((op.rows + kBlockRows - 1) / kBlockRows);
    if (tasks == 0) return;
    launch(std::min(tasks, kMostBlocks), kThreads, kThreads * sizeof(double), accumulate_kernel<T>, op);
  }
};

}  // namespace
}  // namespace mamrl

MAMRL_CUDA_OPS(m) {
  m.impl("table_lookup", TORCH_BOX(&mamrl::table_lookup<mamrl::Device>));
  m.impl("table_accumulate", TORCH_BOX(&mamrl::table_accumulate<mamrl::Device>));
}
