// Discounted returns: the recursion over time of one trajectory and its transpose, shared by the CPU loop and the CUDA
// kernel.
#pragma once

#include "common/host_device.h"

namespace mamrl {

// One step backwards in time: R_t = r_t + discount * R_{t+1}. A termination drops R_{t+1}; at a truncation, and at the
// last step, next_value stands for it.
template <class T>
MAMRL_FN T return_step(T reward, T next_value, T next_return, bool terminated, bool truncated, T discount) {
  const T following = truncated ? next_value : next_return;
  return reward + discount * (terminated ? T(0) : following);
}

// The transpose, one step forwards in time: how far the loss depends on r_t.
template <class T>
MAMRL_FN T return_trace_step(T grad, T previous_trace, bool ended_before, T discount) {
  return grad + discount * (ended_before ? T(0) : previous_trace);
}

}  // namespace mamrl
