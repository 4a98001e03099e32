// What every op of csrc/ops asks of a device, for the CPU; an op's own file adds `run` for its kernels.
#pragma once

#include <initializer_list>
#include <vector>

#include "common/check.h"
#include "common/table.h"
#include "cpu/memory.h"

namespace mamrl {

struct Cpu {
  Cpu() = default;
  // of the tensors that a call reads, or null; the dispatcher has seen to it that they are here
  explicit Cpu(std::initializer_list<const Tensor*>) {}
  explicit Cpu(const std::vector<const Tensor*>&) {}

  Tensor allocate(const Tensor& like, const int64_t* sizes, int64_t dims) const {
    return allocate_tensor(like, sizes, dims);
  }

  // before a kernel reads with them
  void check_indices(const char* name, const Tensor& t, int64_t size) const {
    MAMRL_CHECK_TYPE(t.scalar_type() == ScalarType::Long, name, " is ", dtype_text(t.scalar_type()),
                     ", expected torch.int64");
    const int64_t* index = t.const_data_ptr<int64_t>();
    const int64_t count = t.numel();
    int64_t signs = 0;
    for (int64_t i = 0; i < count; ++i) signs |= outside(index[i], size);
    if (signs >= 0) return;
    int64_t first = 0;
    while (outside(index[first], size) >= 0) ++first;
    MAMRL_CHECK(false, name, " holds ", index[first], ", expected at least 0 and below ", size);
  }
};

}  // namespace mamrl
