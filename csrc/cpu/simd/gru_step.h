// One step forward of a block of trajectories of a GRU, and what its passes read and write.
#pragma once

#include "common/gru_cell.h"
#include "common/gru_kernels.h"
#include "cpu/simd/recurrent_step.h"

namespace mamrl::MAMRL_SIMD {

// rows of what a step keeps are r, z, n, q, h, `padded` apart
template <class T>
MAMRL_FN GruStep<Vec<T>> load_step(const T* row, int64_t padded) {
  return {load(row), load(row + padded), load(row + 2 * padded), load(row + 3 * padded)};
}

template <class T>
struct GruNetwork : RecurrentNetwork<T, kGruGates> {
  T* recurrent_bias;  // (P)

  __attribute__((always_inline)) GruNetwork(Arena& arena, const RecurrentShape& s)
      : RecurrentNetwork<T, kGruGates>(arena, s), recurrent_bias(arena.take<T>(this->padded)) {}

  __attribute__((always_inline)) void set_chain(const RecurrentWeights<T>& w, int64_t chain) {
    RecurrentNetwork<T, kGruGates>::set_chain(w, chain);
    pad_rows(recurrent_bias, w.recurrent_bias + chain * this->units, 1, this->units);
  }
};

// One block of units of R trajectories: gates and hidden state without leaving the registers.
template <int R, class T>
MAMRL_TILE void forward_tile(GruNetwork<T>& net, const T* const* gate_rows, int64_t first, int64_t unit, T* saved) {
  const int64_t padded = net.padded, panel = kGruGates * kLanes<T>;
  Vec<T> a[R][kGruGates];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    a[r][0] = load(gate_rows[first + r] + unit);
    a[r][1] = load(gate_rows[first + r] + padded + unit);
    a[r][2] = load(net.recurrent_bias + unit);
  }
  multiply(a, net.hidden[0] + first * padded, padded, 1, net.panels + unit * kGruGates * net.units, panel, net.units);
  Vec<T> reset[R], update[R], fresh[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) reset[r] = a[r][0], update[r] = a[r][1];
  sigmoids(reset);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) fresh[r] = load(gate_rows[first + r] + 2 * padded + unit) + reset[r] * a[r][2];
  sigmoids(update);
  tanhs(fresh);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const int64_t at = (first + r) * padded + unit;
    const Vec<T> h = gru_hidden(update[r], fresh[r], load(net.hidden[0] + at));
    store(net.hidden[1] + at, h);
    T* row = saved + (first + r) * 5 * padded + unit;
    store(row, reset[r]);
    store(row + padded, update[r]);
    store(row + 2 * padded, fresh[r]);
    store(row + 3 * padded, a[r][2]);
    store(row + 4 * padded, h);
  }
}

}  // namespace mamrl::MAMRL_SIMD
