// What the backward and double backward passes of recurrent networks share.
#pragma once

#include "cpu/simd/recurrent_step.h"

namespace mamrl::MAMRL_SIMD {

// One part's weight gradients inside op.partials; see partial_size. Starts at zero.
template <class T, int kGates>
struct Partial {
  T *recurrent, *table, *head, *bias, *recurrent_bias;

  __attribute__((always_inline)) Partial(T* memory, const RecurrentShape& s) {
    const int64_t padded = padded_units(s.units);
    recurrent = memory;
    table = recurrent + kGates * padded * padded;
    head = table + s.rows * kGates * padded;
    bias = head + s.outputs * padded;
    recurrent_bias = bias + (s.outputs + 15) / 16 * 16;
    fill_zero(memory, partial_size(s, kGates));
  }
};

// Rows gathered from several time steps for the weight gradient: adjoints of the gates beside the hidden
// states that they met. One product over many rows reads and writes the gradient once for all of them.
template <class T>
struct ContractionRows {
  static constexpr int64_t kCapacity = 64;
  T *adjoints, *hidden;
  int64_t adjoint_stride, hidden_stride;
  int64_t count = 0;   // trajectories: rows a step
  int64_t filled = 0;  // rows so far
  int64_t current = 0;

  __attribute__((always_inline)) ContractionRows(Arena& arena, int64_t adjoint_size, int64_t hidden_size) {
    // an odd number of cache lines, or rows would share few sets of the cache
    adjoint_stride = adjoint_size + 64 / static_cast<int64_t>(sizeof(T));
    hidden_stride = hidden_size;
    adjoints = arena.take<T>(kCapacity * adjoint_stride);
    hidden = arena.take<T>(kCapacity * hidden_stride);
  }
  __attribute__((always_inline)) void start(int64_t trajectories) {
    count = trajectories;
    filled = 0;
  }
  // the last step's rows stay readable until next() gives the rows of a new one
  __attribute__((always_inline)) void next() {
    current = filled;
    filled += count;
  }
  __attribute__((always_inline)) bool full() const { return filled + count > kCapacity; }
  __attribute__((always_inline)) void flush() { filled = 0; }
  __attribute__((always_inline)) T* current_adjoints() const { return adjoints + current * adjoint_stride; }
  __attribute__((always_inline)) T* current_hidden() const { return hidden + current * hidden_stride; }
};

// (GN, N) -> (GP, P), times carry: through these an adjoint goes back to the step before
template <int kGates, class T>
static void pad_recurrent(T* to, const T* from, int64_t units, T carry) {
  const int64_t padded = padded_units(units), size = kGates * padded * padded;
  fill_zero(to, size);
  for (int64_t gate = 0; gate < kGates; ++gate)
    pad_rows(to + gate * padded * padded, from + gate * units * units, units, units);
  for (int64_t j = 0; j < size; j += kLanes<T>) store(to + j, carry * load(to + j));
}

// to[k] = sum_a grads[k][a] head[a], rows of the head `stride` apart
template <class T>
static void transpose_head(T* to, const T* grads, const T* head, int64_t stride, int64_t count, int64_t outputs,
                           int64_t padded) {
  for (int64_t k = 0; k < count; ++k) {
    for (int64_t unit = 0; unit < padded; unit += kLanes<T>) {
      Vec<T> total = {};
      for (int64_t a = 0; a < outputs; ++a) total += grads[k * outputs + a] * load(head + a * stride + unit);
      store(to + k * padded + unit, total);
    }
  }
}

template <class T>
static void add_bias_gradient(T* bias, const T* grads, int64_t count, int64_t outputs) {
  for (int64_t k = 0; k < count; ++k) {
    for (int64_t a = 0; a < outputs; ++a) bias[a] += grads[k * outputs + a];
  }
}

// The gate inputs' gradient is the gates' adjoints: added to the state's row of the table, or written where inputs are
// dense. The last gate's lie at `last_gate` of a row, the others' side by side at its start.
template <int kGates, class T>
static void scatter_gate_gradient(T* dense, T* table, const int64_t* states, const RecurrentShape& s, int64_t index,
                                  const T* adjoints, int64_t stride, int64_t last_gate, int64_t count) {
  const int64_t padded = padded_units(s.units);
  for (int64_t k = 0; k < count; ++k) {
    for (int64_t gate = 0; gate < kGates; ++gate) {
      const T* from = adjoints + k * stride + (gate + 1 < kGates ? gate * padded : last_gate);
      if (s.rows) {
        T* to = table + (states[index + k] * kGates + gate) * padded;
        for (int64_t j = 0; j < padded; j += kLanes<T>) store(to + j, load(to + j) + load(from + j));
      } else {
        copy(dense + ((index + k) * kGates + gate) * s.units, from, s.units);
      }
    }
  }
}

}  // namespace mamrl::MAMRL_SIMD
