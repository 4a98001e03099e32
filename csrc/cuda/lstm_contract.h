// An LSTM's weight gradients, see cuda/recurrent_contract.h: adjoints of its four gates, hidden states, one-hot states.
#pragma once

#include "common/lstm_cell.h"
#include "common/lstm_kernels.h"
#include "cuda/recurrent_contract.h"

namespace mamrl {

template <class T>
struct LstmContraction : Contraction<T> {
  static constexpr int kGates = kLstmGates;

  MAMRL_METHOD int64_t columns() const { return this->padded() + this->shape.rows; }
  MAMRL_METHOD int64_t recurrent_rows(int64_t gate) const { return gate; }
  MAMRL_METHOD int64_t table_rows(int64_t gate) const { return gate; }
  MAMRL_METHOD bool wanted(int64_t, int64_t) const { return true; }

  __device__ T right(int half, int64_t index, int64_t earlier, int64_t column) const {
    const int64_t padded = this->padded();
    if (column >= padded)
      return half == 0 && column < columns() && this->states[index] == column - padded ? T(1) : T(0);
    if (earlier < 0) return T(0);
    const T* const y_row = this->saved + earlier * 5 * padded + column;
    const T o = y_row[3 * padded], u = std::tanh(y_row[4 * padded]);
    if (half == 0) return o * u;
    const T* const d_row = this->tangents + earlier * 5 * padded + column;
    return this->carry * lstm_hidden_tangent(o, u, o * (1 - o) * d_row[3 * padded], d_row[4 * padded]);
  }
};

}  // namespace mamrl
