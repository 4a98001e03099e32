// A network over recorded inputs: each task takes a part of a chain's trajectories through all of time.
#pragma once

#include "cpu/simd/recurrent_step.h"

namespace mamrl::MAMRL_SIMD {

template <class Network, class T, int kGates>
struct ForwardScratch {
  Network net;
  GateRows<T, kGates> rows;
  __attribute__((always_inline)) ForwardScratch(Arena& arena, const RecurrentShape& s)
      : net(arena, s), rows(arena, s) {}

  static int64_t bytes(const RecurrentShape& s) {
    Arena counter{nullptr};
    const ForwardScratch scratch(counter, s);
    return counter.used;
  }
};

template <class Network, int kGates, class T>
static void run_forward(const RecurrentForward<T>& op, int64_t first_task, int64_t last_task, char* memory) {
  Arena arena{memory};
  const RecurrentShape& s = op.shape;
  ForwardScratch<Network, T, kGates> scratch(arena, s);
  Network& net = scratch.net;
  int64_t packed_chain = -1;
  for (int64_t task = first_task; task < last_task; ++task) {
    for_each_block(s, task, [&](int64_t chain, int64_t first, int64_t count) __attribute__((always_inline)) {
      if (chain != packed_chain) {
        net.set_chain(op.weights, chain);
        scratch.rows.set_chain(s, op.weights, chain);
        packed_chain = chain;
      }
      net.reset();
      for (int64_t t = 0; t < s.horizon; ++t) {
        const int64_t index = (t * s.chains + chain) * s.trajectories + first;
        scratch.rows.set_step(s, op.weights, index, count);
        T* saved = op.saved + index * 5 * net.padded;
        const int64_t next = t + 1 < s.horizon ? s.chains * s.trajectories : 0;
        const T* inputs = next && !s.rows ? op.weights.gate_inputs + (index + next) * kGates * s.units : nullptr;
        forward_step(net, scratch.rows.at, count, op.outputs + index * s.outputs, saved,
                     next ? saved + next * 5 * net.padded : nullptr, inputs);
      }
    });
  }
}

}  // namespace mamrl::MAMRL_SIMD
