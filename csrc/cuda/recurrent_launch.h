// How the passes of recurrent networks are launched.
#pragma once

#include "cuda/recurrent_contract.h"

namespace mamrl {

struct RecurrentGpu : Gpu {
  using Gpu::Gpu;

 protected:
  static int64_t steps(const RecurrentShape& s) { return s.horizon * s.chains * s.trajectories; }

  // a block for each piece of a chain's trajectories
  template <class... Parameters, class... Arguments>
  void launch_blocks(const RecurrentShape& s, const BlockPlan& plan, void (*kernel)(Parameters...),
                     const Arguments&... arguments) const {
    const int64_t tasks = s.chains * plan.blocks(s.trajectories);
    launch(std::min(tasks, kMostBlocks), plan.threads, plan.shared_bytes, kernel, arguments...);
  }

  template <class T>
  Scratch<T> head_gradients(const RecurrentShape& s, const BlockPlan& plan) const {
    return scratch<T>(s.chains * plan.blocks(s.trajectories) * head_gradient_size(s));
  }

  // op: all but its parts and partials
  template <class Op, class T = typename Op::Number>
  void contract(Op op, const T* head_gradients, const BlockPlan& plan, const RecurrentGradients<T>& out) const {
    const RecurrentShape& s = op.shape;
    op.parts = contract_parts(op.depth());
    const auto partials = scratch<T>(s.chains * op.parts * 4 * op.padded() * op.columns());
    op.partials = partials.data();
    launch(std::min(contract_tasks(op), kMostBlocks), kContractThreads, kContractBytes<T>, contract_kernel<Op>, op);
    const int64_t gates = Op::kGates * s.units;
    launch_over(s.chains * (gates * (s.units + s.rows) + s.outputs * (s.units + 1) + s.units), sum_gradients_kernel<Op>,
                op, head_gradients, plan.blocks(s.trajectories), out);
  }
};

}  // namespace mamrl
