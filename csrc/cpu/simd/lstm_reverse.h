// What the LSTM's backward and double backward share.
#pragma once

#include "cpu/simd/lstm_step.h"
#include "cpu/simd/recurrent_reverse.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
static void tanh_cells(T* to, const T* saved, int64_t count, int64_t padded) {
  for (int64_t k = 0; k < count; ++k) {
    for (int64_t unit = 0; unit < padded; unit += kLanes<T>) {
      store(to + k * padded + unit, tanh(load(saved + (k * 5 + 4) * padded + unit)));
    }
  }
}

}  // namespace mamrl::MAMRL_SIMD
