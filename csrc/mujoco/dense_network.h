// A recurrent network on dense inputs: Linear(I, N) -> ReLU -> LSTM(N) -> Linear(N, A), stepped for a block of
// trajectories. csrc/mujoco/simd/dense_network.cpp is compiled once for each instruction set.
#pragma once

#include <cstdint>
#include <string>

#include "cpu/recurrent_parts.h"

namespace mamrl {

// Row-major weights, M chains one after another; gates in the order input, forget, cell, output.
template <class T>
struct DenseNetwork {
  int64_t inputs, units, outputs;
  const T* input_weight;      // (M, N, I)
  const T* input_bias;        // (M, N)
  const T* gate_weight;       // (M, 4N, N)
  const T* recurrent_weight;  // (M, 4N, N)
  const T* gate_bias;         // (M, 4N)
  const T* head_weight;       // (M, A, N)
  const T* head_bias;         // (M, A)
};

// Kernels that work in memory of scratch() bytes on a cache line.
template <class T>
struct DenseNetworkKernels {
  int64_t (*scratch)(const DenseNetwork<T>&);
  // takes up a chain's weights and the state zero
  void (*start)(const DenseNetwork<T>&, int64_t chain, char* memory);
  // inputs (count, I) -> outputs (count, A), count at most kTrajectoryBlock
  void (*step)(const DenseNetwork<T>&, char* memory, const T* inputs, int64_t count, T* outputs);
};

// of the level that `simd_level()` of the other module names
template <class T>
const DenseNetworkKernels<T>& dense_network_kernels(const std::string& level);

}  // namespace mamrl
