// What the LSTM kernels and the rollout share: one step forward of a block of trajectories.
#pragma once

#include "common/lstm_cell.h"
#include "common/lstm_kernels.h"
#include "cpu/simd/recurrent_step.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
MAMRL_FN Gates<Vec<T>> load_gates(const T* row, int64_t padded) {
  return {load(row), load(row + padded), load(row + 2 * padded), load(row + 3 * padded)};
}

template <class T>
MAMRL_FN void store_gates(T* row, int64_t padded, const Gates<Vec<T>>& y) {
  store(row, y.i);
  store(row + padded, y.f);
  store(row + 2 * padded, y.g);
  store(row + 3 * padded, y.o);
}

// With the cell of a block of trajectories.
template <class T>
struct ForwardNetwork : RecurrentNetwork<T, kLstmGates> {
  T* cell;  // (block, P)

  __attribute__((always_inline)) ForwardNetwork(Arena& arena, const LstmShape& s)
      : RecurrentNetwork<T, kLstmGates>(arena, s), cell(arena.take<T>(kTrajectoryBlock * this->padded)) {}

  __attribute__((always_inline)) void reset() {
    RecurrentNetwork<T, kLstmGates>::reset();
    fill_zero(cell, kTrajectoryBlock * this->padded);
  }
};

// One block of units of R trajectories: gates, cell and hidden state without leaving the registers.
template <int R, class T>
MAMRL_TILE void forward_tile(ForwardNetwork<T>& net, const T* const* gate_rows, int64_t first, int64_t unit, T* saved) {
  const int64_t padded = net.padded, panel = 4 * kLanes<T>;
  Vec<T> gates[R][4];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int gate = 0; gate < 4; ++gate) gates[r][gate] = load(gate_rows[first + r] + gate * padded + unit);
  }
  multiply(gates, net.hidden[0] + first * padded, padded, 1, net.panels + unit * 4 * net.units, panel, net.units);
  Vec<T> i[R], f[R], g[R], o[R], c[R], u[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) i[r] = gates[r][0], f[r] = gates[r][1], g[r] = gates[r][2], o[r] = gates[r][3];
  sigmoids(i);
  sigmoids(f);
  tanhs(g);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const int64_t at = (first + r) * padded + unit;
    u[r] = c[r] = lstm_cell<Vec<T>>({i[r], f[r], g[r], o[r]}, load(net.cell + at));
    store(net.cell + at, c[r]);
  }
  sigmoids(o);
  tanhs(u);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    store(net.hidden[1] + (first + r) * padded + unit, o[r] * u[r]);
    if (saved) {
      T* row = saved + (first + r) * 5 * padded + unit;
      store_gates<T>(row, padded, {i[r], f[r], g[r], o[r]});
      store(row + 4 * padded, c[r]);
    }
  }
}

}  // namespace mamrl::MAMRL_SIMD
