// Sums of a block's threads in an order that depends on their number alone.
#pragma once

#include "cuda/launch.h"

namespace mamrl {

// bytes of shared memory that block_sum needs
constexpr int64_t kBlockSumBytes = kThreads * sizeof(double);

// The sum of every thread's value, for all of them; blocks have a power of two of threads, at most kThreads.
__device__ inline double block_sum(double value, double* memory) {
  __syncthreads();
  memory[threadIdx.x] = value;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) memory[threadIdx.x] += memory[threadIdx.x + half];
    __syncthreads();
  }
  return memory[0];
}

}  // namespace mamrl
