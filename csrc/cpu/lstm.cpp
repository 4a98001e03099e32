// The LSTM with its output layer: forward, backward, double backward. The loops are in csrc/cpu/simd.
#include "ops/lstm.h"

#include <torch/csrc/stable/library.h>

#include "cpu/recurrent_device.h"

namespace mamrl {
namespace {

using Device = RecurrentDevice<kLstmGates>;

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("lstm", TORCH_BOX(&mamrl::lstm<mamrl::Device>));
  m.impl("lstm_recorded", TORCH_BOX(&mamrl::lstm_recorded<mamrl::Device>));
  m.impl("lstm_backward", TORCH_BOX(&mamrl::lstm_backward<mamrl::Device>));
  m.impl("lstm_double_backward", TORCH_BOX(&mamrl::lstm_double_backward<mamrl::Device>));
}
