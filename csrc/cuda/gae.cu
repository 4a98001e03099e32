// Generalized advantages and their transpose: a thread takes one column through all of time, so that neighbours read
// neighbouring addresses.
#include "common/gae.h"

#include <torch/csrc/stable/library.h>

#include "cuda/columns.h"
#include "cuda/launch.h"
#include "ops/gae.h"

namespace mamrl {
namespace {

template <class T>
__global__ void gae_kernel(GaeColumns<T> op) {
  const bool shifted = op.next_values == op.values + op.columns;
  for (int64_t column = grid_thread(); column < op.columns; column += grid_threads()) {
    T advantage = 0, later_value = op.next_values[(op.horizon - 1) * op.columns + column];
    for (int64_t end = op.horizon; end > 0; end -= kRowsAhead) {
      // all of these are on their way before the first is needed
      T rewards[kRowsAhead], values[kRowsAhead], next_values[kRowsAhead];
      bool terminated[kRowsAhead], truncated[kRowsAhead];
#pragma unroll
      for (int r = 0; r < kRowsAhead; ++r) {
        const int64_t i = row_before(end, r) * op.columns + column;
        rewards[r] = op.rewards[i];
        values[r] = op.values[i];
        next_values[r] = shifted ? T(0) : op.next_values[i];
        terminated[r] = at(op.terminations, i);
        truncated[r] = at(op.truncations, i);
      }
#pragma unroll
      for (int r = 0; r < kRowsAhead; ++r) {
        const int64_t t = end - 1 - r;
        if (t < 0) continue;
        advantage = gae_step<T>(rewards[r], values[r], shifted ? later_value : next_values[r], advantage, terminated[r],
                                truncated[r], op.discount, op.discount_lambda);
        later_value = values[r];
        op.advantages[t * op.columns + column] = advantage;
      }
    }
  }
}

template <class T>
__global__ void gae_backward_kernel(GaeBackwardColumns<T> op) {
  for (int64_t column = grid_thread(); column < op.columns; column += grid_threads()) {
    T trace = 0, carried = 0;
    bool ended_before = true;
    for (int64_t t = 0; t < op.horizon; ++t) {
      const int64_t i = t * op.columns + column;
      const bool terminated = at(op.terminations, i);
      trace = gae_trace_step<T>(op.grad[i], trace, ended_before, op.discount_lambda);
      const T following = terminated ? T(0) : op.discount * trace;
      op.grad_rewards[i] = trace;
      op.grad_values[i] = carried - trace;
      if (op.grad_next_values) {
        op.grad_next_values[i] = following;
      } else {
        carried = following;
      }
      ended_before = terminated || at(op.truncations, i);
    }
    if (!op.grad_next_values) op.grad_values[op.horizon * op.columns + column] = carried;
  }
}

struct Device : Gpu {
  using Gpu::Gpu;
  template <class T>
  void run(const GaeColumns<T>& op) const {
    launch_over(op.columns, gae_kernel<T>, op);
  }
  template <class T>
  void run(const GaeBackwardColumns<T>& op) const {
    launch_over(op.columns, gae_backward_kernel<T>, op);
  }
};

}  // namespace
}  // namespace mamrl

MAMRL_CUDA_OPS(m) {
  m.impl("gae", TORCH_BOX(&mamrl::gae<mamrl::Device>));
  m.impl("gae_backward", TORCH_BOX(&mamrl::gae_backward<mamrl::Device>));
}
