// What every CUDA op stands on: its device and stream, launches, checks that are made on the device.
//
// A kernel is launched through Gpu::launch only, so that the same .cu files compile for the CPU, where emulated/ runs
// their blocks thread by thread for the tests (docs/cuda.md).
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "common/check.h"

#ifdef __CUDACC__
#include "cuda/device.h"
#else
#include "cuda/emulated/device.h"
#endif

namespace mamrl {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;

// The threads of the whole grid, one number each; kernels stride by grid_threads() where there is more to do.
__device__ inline int64_t grid_thread() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline int64_t grid_threads() { return int64_t(gridDim.x) * blockDim.x; }

constexpr int kNameSize = 32;
struct Name {
  char text[kNameSize];
};

// defined in indices.cu
void launch_index_check(const LaunchStream& stream, const Name& name, const int64_t* index, int64_t count,
                        int64_t size);

// Device memory that lives as long as the call: torch's allocator hands it on in the order of the stream.
template <class T>
class Scratch {
 public:
  Scratch(int32_t device_type, int32_t device, int64_t count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T)), stride = 1;
    AtenTensorHandle made = nullptr;
    TORCH_ERROR_CODE_CHECK(
        aoti_torch_empty_strided(1, &bytes, &stride, aoti_torch_dtype_uint8(), device_type, device, &made));
    tensor_ = Tensor(made);
  }
  T* data() const { return static_cast<T*>(tensor_.mutable_data_ptr()); }

 private:
  Tensor tensor_;
};

// One call of an op: its device is current while this lives, and everything goes into torch's current stream.
class Gpu : public LaunchStream {
 public:
  // of the tensors that a call reads, or null
  explicit Gpu(std::initializer_list<const Tensor*> read) : Gpu(std::vector<const Tensor*>(read)) {}
  explicit Gpu(const std::vector<const Tensor*>& read)
      : LaunchStream(common_device(read)), device_(common_device(read)) {
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(read.front()->get(), &device_type_));
  }

  template <class T>
  Scratch<T> scratch(int64_t count) const {
    return Scratch<T>(device_type_, device_, count);
  }

  // torch's own allocator keeps memory here
  Tensor allocate(const Tensor& like, const int64_t* sizes, int64_t dims) const {
    return empty_row_major(like, sizes, dims);
  }

  // Before a kernel reads with them. Nothing waits for the answer: an index that is out of range stops the device with
  // a printed sentence before the kernel behind it starts.
  void check_indices(const char* name, const Tensor& t, int64_t size) const {
    MAMRL_CHECK_TYPE(t.scalar_type() == ScalarType::Long, name, " is ", dtype_text(t.scalar_type()),
                     ", expected torch.int64");
    Name copy = {};
    for (int i = 0; i + 1 < kNameSize && name[i]; ++i) copy.text[i] = name[i];
    if (t.numel() > 0) launch_index_check(*this, copy, t.const_data_ptr<int64_t>(), t.numel(), size);
  }

  // One thread an element, or several elements a thread where there are many.
  template <class... Parameters, class... Arguments>
  void launch_over(int64_t elements, void (*kernel)(Parameters...), const Arguments&... arguments) const {
    if (elements == 0) return;
    launch(std::min((elements + kThreads - 1) / kThreads, kMostBlocks), kThreads, 0, kernel, arguments...);
  }

 private:
  static int common_device(const std::vector<const Tensor*>& read) {
    const Tensor* first = nullptr;
    for (const Tensor* tensor : read) {
      if (!tensor) continue;
      if (!first) first = tensor;
      MAMRL_CHECK(on_this_kind(*tensor) && tensor->get_device_index() == first->get_device_index(),
                  "a tensor is on another device than the others, expected all on one");
    }
    return first->get_device_index();
  }

  int32_t device_, device_type_ = 0;
};

}  // namespace mamrl
