// Rollouts of matrix games. The loop is in csrc/cpu/simd/rollout.cpp.
#include "ops/rollout.h"

#include <torch/csrc/stable/library.h>

#include "cpu/device.h"
#include "cpu/recurrent_parts.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"

namespace mamrl {
namespace {

struct Device : Cpu {
  using Cpu::Cpu;

  template <class T>
  void run(const Rollout<T>& op) const {
    const SimdKernels<T>& simd = simd_kernels<T>();
    run_tasks(op.chains * num_parts(op.trajectories), simd.rollout_scratch(op),
              [&](int64_t first, int64_t last, char* memory) { simd.rollout(op, first, last, memory); });
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("matrix_game_rollout", TORCH_BOX(&mamrl::matrix_game_rollout<mamrl::Device>));
}
