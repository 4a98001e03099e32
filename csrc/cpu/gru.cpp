// The GRU with its output layer: forward, backward, double backward. The loops are in csrc/cpu/simd.
#include "ops/gru.h"

#include <torch/csrc/stable/library.h>

#include "cpu/recurrent_device.h"

namespace mamrl {
namespace {

using Device = RecurrentDevice<kGruGates>;

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("gru", TORCH_BOX(&mamrl::gru<mamrl::Device>));
  m.impl("gru_backward", TORCH_BOX(&mamrl::gru_backward<mamrl::Device>));
  m.impl("gru_double_backward", TORCH_BOX(&mamrl::gru_double_backward<mamrl::Device>));
}
