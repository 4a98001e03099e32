// A GRU's weight gradients, see cuda/recurrent_contract.h: adjoints of r, z, q and n; hidden states, one-hot states,
// and a column of ones for the recurrent bias.
#pragma once

#include "common/gru_kernels.h"
#include "cuda/recurrent_contract.h"

namespace mamrl {

template <class T>
struct GruContraction : Contraction<T> {
  static constexpr int kGates = kGruGates;

  MAMRL_METHOD int64_t columns() const { return this->padded() + this->shape.rows + 1; }
  MAMRL_METHOD int64_t recurrent_rows(int64_t gate) const { return gate; }
  // the inputs of n stand outside of what the reset gate multiplies
  MAMRL_METHOD int64_t table_rows(int64_t gate) const { return gate < 2 ? gate : 3; }
  MAMRL_METHOD bool wanted(int64_t row, int64_t column) const {
    return row < 3 * this->padded() || column + kTileColumns > this->padded();
  }

  __device__ T right(int half, int64_t index, int64_t earlier, int64_t column) const {
    const int64_t padded = this->padded();
    if (column >= padded) {
      if (half > 0 || column >= columns()) return T(0);
      return column + 1 == columns() || this->states[index] == column - padded ? T(1) : T(0);
    }
    if (earlier < 0) return T(0);
    const int64_t at = (earlier * 5 + 4) * padded + column;
    return half == 0 ? this->saved[at] : this->carry * this->tangents[at];
  }
};

}  // namespace mamrl
