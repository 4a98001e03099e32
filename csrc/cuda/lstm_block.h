// What an LSTM's kernels read and write.
#pragma once

#include "common/lstm_cell.h"
#include "common/lstm_kernels.h"
#include "cuda/recurrent_block.h"

namespace mamrl {

// What the inputs add to a unit's four gates, of one row of them; padded units have none.
template <class T>
__device__ inline void load_gate_row(T (&gates)[4], const T* row, int64_t units, int64_t unit) {
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) gates[gate] = unit < units ? row[gate * units + unit] : T(0);
}

// the same of the trajectory at `index`, from the table or the dense tensor
template <class T>
__device__ inline void load_gate_inputs(T (&gates)[4], const LstmWeights<T>& w, const LstmShape& s, int64_t chain,
                                        int64_t index, int64_t unit) {
  load_gate_row(gates, gate_row<kLstmGates>(w, s, chain, index), s.units, unit);
}

template <class T>
__device__ inline void store_gates(T* row, int64_t stride, const Gates<T>& y) {
  row[0] = y.i;
  row[stride] = y.f;
  row[2 * stride] = y.g;
  row[3 * stride] = y.o;
}

}  // namespace mamrl
