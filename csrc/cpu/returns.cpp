// Discounted returns and their transpose: recursions over time, vectorised over the trailing batch.
#include "ops/returns.h"

#include <torch/csrc/stable/library.h>

#include "cpu/columns.h"
#include "cpu/device.h"
#include "cpu/simd.h"
#include "direct.h"

namespace mamrl {
namespace {

struct Device : Cpu {
  using Cpu::Cpu;
  template <class T>
  void run(const ReturnsColumns<T>& op) const {
    for_column_blocks(op, kColumnBlock, simd_kernels<T>().returns);
  }
  template <class T>
  void run(const ReturnsBackwardColumns<T>& op) const {
    for_column_blocks(op, kColumnBlock, simd_kernels<T>().returns_backward);
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  MAMRL_CPU_OP(m, discounted_returns, mamrl::discounted_returns<mamrl::Device>);
  MAMRL_CPU_OP(m, discounted_returns_backward, mamrl::discounted_returns_backward<mamrl::Device>);
}
