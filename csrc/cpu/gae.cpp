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
  m.impl("gae", TORCH_BOX(&mamrl::gae<mamrl::Device>));
  m.impl("gae_backward", TORCH_BOX(&mamrl::gae_backward<mamrl::Device>));
}

MAMRL_DIRECT(gae, mamrl::gae<mamrl::Device>);
MAMRL_DIRECT(gae_backward, mamrl::gae_backward<mamrl::Device>);
