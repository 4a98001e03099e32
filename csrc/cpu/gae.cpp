// Generalized advantages and their transpose: recursions over time, vectorised over the trailing batch.
#include "ops/gae.h"

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
  void run(const GaeColumns<T>& op) const {
    for_column_blocks(op, kColumnBlock, simd_kernels<T>().gae);
  }
  template <class T>
  void run(const GaeBackwardColumns<T>& op) const {
    for_column_blocks(op, kColumnBlock, simd_kernels<T>().gae_backward);
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  MAMRL_CPU_OP(m, gae, mamrl::gae<mamrl::Device>);
  MAMRL_CPU_OP(m, gae_backward, mamrl::gae_backward<mamrl::Device>);
}
