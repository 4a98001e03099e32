#include "cpu/simd/lstm_step.h"
#include "cpu/simd/recurrent_forward.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
int64_t lstm_forward_scratch(const RecurrentShape& shape) {
  return ForwardScratch<ForwardNetwork<T>, T, kLstmGates>::bytes(shape);
}

template <class T>
void lstm_forward(const RecurrentForward<T>& op, int64_t first_task, int64_t last_task, char* memory) {
  run_forward<ForwardNetwork<T>, kLstmGates>(op, first_task, last_task, memory);
}

template int64_t lstm_forward_scratch<float>(const RecurrentShape&);
template int64_t lstm_forward_scratch<double>(const RecurrentShape&);
template void lstm_forward<float>(const RecurrentForward<float>&, int64_t, int64_t, char*);
template void lstm_forward<double>(const RecurrentForward<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
