// The GPU itself, where nvcc compiles.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <cstdio>

#include "common/check.h"

// the library that an op's kernels are registered in, and for which kind of device
#define MAMRL_CUDA_OPS(m) STABLE_TORCH_LIBRARY_IMPL(mamrl, CUDA, m)

namespace mamrl {

constexpr int64_t kSharedWithoutAsking = 48 << 10;

inline bool on_this_kind(const Tensor& t) { return t.is_cuda(); }

inline void check_cuda(cudaError_t error, const char* what) {
  STD_TORCH_CHECK(error == cudaSuccess, "mamrl's CUDA kernels: ", what, ": ", cudaGetErrorString(error));
}

class LaunchStream {
 public:
  explicit LaunchStream(int device) : guard_(device), device_(device) {
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream_));
  }

  // the most dynamic shared memory that a block may ask for, in bytes
  int64_t most_shared() const {
    int bytes = 0;
    check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device_), "device attribute");
    return bytes;
  }

  template <class... Parameters, class... Arguments>
  void launch(int64_t blocks, int threads, int64_t shared_bytes, void (*kernel)(Parameters...),
              const Arguments&... arguments) const {
    if (shared_bytes > kSharedWithoutAsking) {
      check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                      cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
                 "asking for shared memory");
    }
    kernel<<<static_cast<unsigned>(blocks), threads, static_cast<size_t>(shared_bytes),
             static_cast<cudaStream_t>(stream_)>>>(Parameters(arguments)...);
    check_cuda(cudaGetLastError(), "launch");
  }

 private:
  torch::stable::accelerator::DeviceGuard guard_;
  int device_;
  void* stream_ = nullptr;
};

// The block's dynamic shared memory.
template <class T>
__device__ T* shared_memory() {
  extern __shared__ __align__(32) char memory[];
  return reinterpret_cast<T*>(memory);
}

// the GPU stops by itself where this does not hold
__device__ inline void check_aligned(const void*, size_t) {}

#define MAMRL_STOP_DEVICE(...) \
  do {                         \
    printf(__VA_ARGS__);       \
    printf("\n");              \
    __trap();                  \
  } while (0)

}  // namespace mamrl
