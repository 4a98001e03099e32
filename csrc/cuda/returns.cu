// Discounted returns and their transpose: a thread takes one column through all of time.
#include "common/returns.h"

#include <torch/csrc/stable/library.h>

#include "cuda/columns.h"
#include "cuda/launch.h"
#include "ops/returns.h"

namespace mamrl {
namespace {

template <class T>
__global__ void returns_kernel(ReturnsColumns<T> op) {
  for (int64_t column = grid_thread(); column < op.columns; column += grid_threads()) {
    // after the last row the bootstrap stands for the return
    const int64_t last = (op.horizon - 1) * op.columns + column;
    T result = op.next_values ? op.next_values[last] : T(0);
    for (int64_t end = op.horizon; end > 0; end -= kRowsAhead) {
      T rewards[kRowsAhead], bootstraps[kRowsAhead];
      bool terminated[kRowsAhead], truncated[kRowsAhead];
#pragma unroll
      for (int r = 0; r < kRowsAhead; ++r) {
        const int64_t i = row_before(end, r) * op.columns + column;
        rewards[r] = op.rewards[i];
        terminated[r] = at(op.terminations, i);
        truncated[r] = at(op.truncations, i);
        bootstraps[r] = truncated[r] && op.next_values ? op.next_values[i] : T(0);
      }
#pragma unroll
      for (int r = 0; r < kRowsAhead; ++r) {
        const int64_t t = end - 1 - r;
        if (t < 0) continue;
        result = return_step<T>(rewards[r], bootstraps[r], result, terminated[r], truncated[r], op.discount);
        op.returns[t * op.columns + column] = result;
      }
    }
  }
}

template <class T>
__global__ void returns_backward_kernel(ReturnsBackwardColumns<T> op) {
  for (int64_t column = grid_thread(); column < op.columns; column += grid_threads()) {
    T trace = 0;
    bool ended_before = true;
    for (int64_t t = 0; t < op.horizon; ++t) {
      const int64_t i = t * op.columns + column;
      const bool terminated = at(op.terminations, i), truncated = at(op.truncations, i);
      trace = return_trace_step<T>(op.grad[i], trace, ended_before, op.discount);
      op.grad_rewards[i] = trace;
      op.grad_next_values[i] = (t + 1 == op.horizon || truncated) && !terminated ? op.discount * trace : T(0);
      ended_before = terminated || truncated;
    }
  }
}

struct Device : Gpu {
  using Gpu::Gpu;
  template <class T>
  void run(const ReturnsColumns<T>& op) const {
    launch_over(op.columns, returns_kernel<T>, op);
  }
  template <class T>
  void run(const ReturnsBackwardColumns<T>& op) const {
    launch_over(op.columns, returns_backward_kernel<T>, op);
  }
};

}  // namespace
}  // namespace mamrl

MAMRL_CUDA_OPS(m) {
  m.impl("discounted_returns", TORCH_BOX(&mamrl::discounted_returns<mamrl::Device>));
  m.impl("discounted_returns_backward", TORCH_BOX(&mamrl::discounted_returns_backward<mamrl::Device>));
}
