#include "cpu/simd/gru_step.h"
#include "cpu/simd/recurrent_forward.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
int64_t gru_forward_scratch(const RecurrentShape& shape) {
  return ForwardScratch<GruNetwork<T>, T, kGruGates>::bytes(shape);
}

template <class T>
void gru_forward(const RecurrentForward<T>& op, int64_t first_task, int64_t last_task, char* memory) {
  run_forward<GruNetwork<T>, kGruGates>(op, first_task, last_task, memory);
}

template int64_t gru_forward_scratch<float>(const RecurrentShape&);
template int64_t gru_forward_scratch<double>(const RecurrentShape&);
template void gru_forward<float>(const RecurrentForward<float>&, int64_t, int64_t, char*);
template void gru_forward<double>(const RecurrentForward<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
