// Generalized advantage estimation (Schulman et al. 2016, equation 16): the recursion over time of one trajectory and
// its transpose, shared by the CPU loop and the CUDA kernel.
#pragma once

#include "common/host_device.h"

namespace mamrl {

// One step backwards in time: A_t = delta_t + discount * lambda * A_{t+1}, delta_t = r_t + discount * V_{t+1} - V_t.
// A termination drops V_{t+1} and A_{t+1}; a truncation drops A_{t+1} only.
template <class T>
MAMRL_FN T gae_step(T reward, T value, T next_value, T next_advantage, bool terminated, bool truncated, T discount,
                    T discount_lambda) {
  const T bootstrap = terminated ? T(0) : next_value;
  const T carried = terminated || truncated ? T(0) : next_advantage;
  return reward + discount * bootstrap - value + discount_lambda * carried;
}

// The transpose, one step forwards in time: how far the loss depends on delta_t, given that on delta_{t-1} and whether
// the episode ended between the two.
template <class T>
MAMRL_FN T gae_trace_step(T grad, T previous_trace, bool ended_before, T discount_lambda) {
  return grad + discount_lambda * (ended_before ? T(0) : previous_trace);
}

}  // namespace mamrl
