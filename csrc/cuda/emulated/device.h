// CUDA's words for the CPU: the .cu files compile as they stand, and a launch runs its blocks one after another, a
// block's threads as coroutines that stop at __syncthreads(). It is for tests: what it shows and what not is in
// docs/cuda.md.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <cmath>
#include <cstdint>
#include <functional>

#include "common/check.h"

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __syncthreads() ::mamrl::emulated::wait_for_block(__LINE__)

#define MAMRL_CUDA_OPS(m) STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m)

struct EmulatedDim {
  unsigned x = 1;
};
extern thread_local EmulatedDim threadIdx, blockIdx, blockDim, gridDim;

namespace mamrl {

namespace emulated {

// H100's: a launch that asks for more fails, as it would there
constexpr int64_t kMostShared = 227 << 10;

// Runs a grid. Shared memory is filled with NaNs before each block, and what lies behind its end is watched.
void run_grid(int64_t blocks, int threads, int64_t shared_bytes, const std::function<void()>& kernel);
void wait_for_block(int line);
char* block_memory();
[[noreturn]] void stop_device(const char* format, ...);

}  // namespace emulated

inline bool on_this_kind(const Tensor& t) { return t.is_cpu(); }

class LaunchStream {
 public:
  explicit LaunchStream(int) {}

  int64_t most_shared() const { return emulated::kMostShared; }

  template <class... Parameters, class... Arguments>
  void launch(int64_t blocks, int threads, int64_t shared_bytes, void (*kernel)(Parameters...),
              const Arguments&... arguments) const {
    emulated::run_grid(blocks, threads, shared_bytes, [&] { kernel(Parameters(arguments)...); });
  }
};

template <class T>
T* shared_memory() {
  return reinterpret_cast<T*>(emulated::block_memory());
}

inline void check_aligned(const void* address, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(address) % alignment) emulated::stop_device("misaligned address");
}

#define MAMRL_STOP_DEVICE(...) ::mamrl::emulated::stop_device(__VA_ARGS__)

}  // namespace mamrl
