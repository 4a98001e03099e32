// What a GRU's kernels read and write.
#pragma once

#include "common/gru_cell.h"
#include "common/gru_kernels.h"
#include "cuda/recurrent_block.h"

namespace mamrl {

// What a unit's gates start from: the inputs' share of r and z, of q the bias, and last the inputs' share of n, which
// no product is added to. Padded units have none.
template <class T>
__device__ inline void load_gates(T (&gates)[4], const RecurrentWeights<T>& w, const RecurrentShape& s, int64_t chain,
                                  int64_t index, int64_t unit) {
  const T* const row = gate_row<kGruGates>(w, s, chain, index);
  const bool is_unit = unit < s.units;
  gates[0] = is_unit ? row[unit] : T(0);
  gates[1] = is_unit ? row[s.units + unit] : T(0);
  gates[2] = is_unit ? w.recurrent_bias[chain * s.units + unit] : T(0);
  gates[3] = is_unit ? row[2 * s.units + unit] : T(0);
}

template <class T>
__device__ inline void store_changes(T* row, int64_t stride, const GruChanges<T>& a) {
  row[0] = a.r;
  row[stride] = a.z;
  row[2 * stride] = a.q;
  row[3 * stride] = a.n;
}

}  // namespace mamrl
