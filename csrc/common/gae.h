// Generalized advantage estimation (Schulman et al. 2016, equation 16): the recursion over time of one
// trajectory, shared by the CPU loop and the CUDA kernel.
#pragma once

#ifdef __CUDACC__
#define MAMRL_HOST_DEVICE __host__ __device__
#else
#define MAMRL_HOST_DEVICE
#endif

namespace mamrl {

// One step backwards in time: A_t = delta_t + discount * lambda * A_{t+1}, delta_t = r_t + discount * V_{t+1}
// - V_t. A termination drops V_{t+1} and A_{t+1}; a truncation drops A_{t+1} only.
template <class T>
MAMRL_HOST_DEVICE inline T gae_step(T reward, T value, T next_value, T next_advantage, bool terminated,
                                    bool truncated, T discount, T discount_lambda) {
  const T bootstrap = terminated ? T(0) : next_value;
  const T carried = terminated || truncated ? T(0) : next_advantage;
  return reward + discount * bootstrap - value + discount_lambda * carried;
}

}  // namespace mamrl
