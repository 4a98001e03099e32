// What the forward passes of recurrent networks share: packed weights, gate inputs, the head, the cut into blocks of
// trajectories.
#pragma once

#include "cpu/recurrent_parts.h"
#include "cpu/simd/math.h"
#include "cpu/simd/multiply.h"

namespace mamrl::MAMRL_SIMD {

// rows (G, N) -> (G, P), padded with zeros
template <int kGates, class T>
static void pad_gates(T* to, const T* from, int64_t count, int64_t units, int64_t from_stride) {
  const int64_t padded = padded_units(units);
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t gate = 0; gate < kGates; ++gate) {
      T* target = to + (row * kGates + gate) * padded;
      copy(target, from + row * from_stride + gate * units, units);
      fill_zero(target + units, padded - units);
    }
  }
}

// rows of N -> rows of P
template <class T>
static void pad_rows(T* to, const T* from, int64_t count, int64_t units) {
  const int64_t padded = padded_units(units);
  for (int64_t row = 0; row < count; ++row) {
    copy(to + row * padded, from + row * units, units);
    fill_zero(to + row * padded + units, padded - units);
  }
}

// (GN, N) -> for each block of `lanes` units and each input, the weights of its gates side by side: what one step of
// the inner loop reads is contiguous. Each block has `depth` inputs, these weights at `first`, all times
// `factor`.
template <int kGates, class T>
static void pack_recurrent(T* to, const T* from, int64_t units, int64_t depth, int64_t first, T factor = 1) {
  for (int64_t block = 0; block * kLanes<T> < padded_units(units); ++block) {
    for (int64_t gate = 0; gate < kGates; ++gate) {
      for (int64_t lane = 0; lane < kLanes<T>; ++lane) {
        const int64_t unit = block * kLanes<T> + lane;
        T* target = to + ((block * depth + first) * kGates + gate) * kLanes<T> + lane;
        for (int64_t input = 0; input < units; ++input) {
          target[input * kGates * kLanes<T>] =
              unit < units ? factor * from[(gate * units + unit) * units + input] : T(0);
        }
      }
    }
  }
}

// Where each trajectory's share of the gates lies, as rows (G, P): in a padded table, or in the dense tensor
// itself.
template <class T, int kGates>
struct GateRows {
  T* table;   // (S, G, P)
  T* buffer;  // (block, G, P): padded copies of dense rows
  const T* at[kTrajectoryBlock];

  __attribute__((always_inline)) GateRows(Arena& arena, const RecurrentShape& s) {
    const int64_t row = kGates * padded_units(s.units);
    table = arena.take<T>(s.rows * row);
    buffer = arena.take<T>(s.rows ? 0 : kTrajectoryBlock * row);
  }

  __attribute__((always_inline)) void set_chain(const RecurrentShape& s, const RecurrentWeights<T>& w, int64_t chain) {
    if (s.rows)
      pad_gates<kGates>(table, w.gate_inputs + chain * s.rows * kGates * s.units, s.rows, s.units, kGates * s.units);
  }

  // of `count` trajectories from `index` = (t M + m) K + k on
  __attribute__((always_inline)) void set_step(const RecurrentShape& s, const RecurrentWeights<T>& w, int64_t index,
                                               int64_t count) {
    const int64_t row = kGates * padded_units(s.units);
    if (s.rows) {
      for (int64_t k = 0; k < count; ++k) at[k] = table + w.states[index + k] * row;
    } else {
      const T* dense = w.gate_inputs + index * kGates * s.units;
      const bool aligned = row == kGates * s.units;
      if (!aligned) pad_gates<kGates>(buffer, dense, count, s.units, kGates * s.units);
      for (int64_t k = 0; k < count; ++k) at[k] = (aligned ? dense : buffer) + k * row;
    }
  }
};

// outputs[k][a] = bias[a] + head[a] . rows[k], both rows of `length`
template <class T>
static void apply_head(T* outputs, const T* head, const T* bias, const T* rows, int64_t count, int64_t num_outputs,
                       int64_t length) {
  constexpr int64_t kAtOnce = kLanes<T>;
  for (int64_t a = 0; a < num_outputs; ++a) {
    for (int64_t k = 0; k < count; k += kAtOnce) {
      const int64_t left = smaller(kAtOnce, count - k);
      Vec<T> sums[kAtOnce];
#pragma GCC unroll 16
      for (int64_t n = 0; n < kAtOnce; ++n) {
        // rows that are not there are the first once more
        const T* row = rows + (k + (n < left ? n : 0)) * length;
        Vec<T> products = {};
        for (int64_t j = 0; j < length; j += kLanes<T>) products += load(row + j) * load(head + a * length + j);
        sums[n] = products;
      }
      const Vec<T> totals = sum_each<T>(sums) + broadcast(bias[a]);
      for (int64_t n = 0; n < left; ++n) outputs[(k + n) * num_outputs + a] = totals[n];
    }
  }
}

// A network's weights of one chain, ready for forward steps, and the hidden state of a block of trajectories.
template <class T, int kGates>
struct RecurrentNetwork {
  static constexpr int kNumGates = kGates;
  int64_t units, padded, outputs;
  T* panels;  // (P / lanes, N, G, lanes)
  T* head;    // (A, P)
  const T* bias;
  T* hidden[2];  // (block, P): before and after the step

  __attribute__((always_inline)) RecurrentNetwork(Arena& arena, const RecurrentShape& s)
      : units(s.units), padded(padded_units(s.units)), outputs(s.outputs) {
    panels = arena.take<T>(padded * units * kGates);
    head = arena.take<T>(outputs * padded);
    for (T*& h : hidden) h = arena.take<T>(kTrajectoryBlock * padded);
  }

  __attribute__((always_inline)) void set_chain(const RecurrentWeights<T>& w, int64_t chain) {
    pack_recurrent<kGates>(panels, w.recurrent + chain * kGates * units * units, units, units, 0);
    pad_rows(head, w.head + chain * outputs * units, outputs, units);
    bias = w.bias + chain * outputs;
  }

  __attribute__((always_inline)) void reset() { fill_zero(hidden[0], kTrajectoryBlock * padded); }
};

// All units of `count` trajectories; outputs (count, A); saved (count, 5, P) or null, next_saved where the next step's
// will lie, or null; next_inputs its gate inputs, or null where they are no memory of their own. The network's own
// forward_tile<R>(network, rows, first trajectory, unit, saved) makes a block of units of R trajectories.
template <class Network, class T>
static void forward_step(Network& net, const T* const* gate_rows, int64_t count, T* outputs, T* saved,
                         const T* next_saved = nullptr, const T* next_inputs = nullptr) {
  Ahead ahead;
  const int64_t tiles = net.padded / kLanes<T> * (count / kTileRows + 1);
  if (next_saved) ahead.add(next_saved, count * 5 * net.padded, tiles);
  if (next_inputs) ahead.add(next_inputs, count * Network::kNumGates * net.units, tiles);
  for (int64_t unit = 0; unit < net.padded; unit += kLanes<T>) {
    for_tiles(count, [&]<int R>(int64_t k) __attribute__((always_inline)) {
      ahead.next();
      forward_tile<R>(net, gate_rows, k, unit, saved);
    });
  }
  T* before = net.hidden[0];
  net.hidden[0] = net.hidden[1];
  net.hidden[1] = before;
  apply_head(outputs, net.head, net.bias, net.hidden[0], count, net.outputs, net.padded);
}

// Calls block(chain, first trajectory, count) for every block of the tasks [first, last); a task is a part of
// a chain.
template <class F>
MAMRL_FN void for_each_block(const RecurrentShape& s, int64_t task, F&& block) {
  const int64_t parts = num_parts(s.trajectories), blocks = num_blocks(s.trajectories);
  const int64_t part = task % parts;
  for (int64_t b = part * blocks / parts; b < (part + 1) * blocks / parts; ++b) {
    const int64_t k = b * kTrajectoryBlock;
    block(task / parts, k, smaller(kTrajectoryBlock, s.trajectories - k));
  }
}

}  // namespace mamrl::MAMRL_SIMD
