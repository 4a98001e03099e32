#include "mujoco/dense_network.h"

#include "cpu/simd/lstm_step.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
static LstmShape shape_of(const DenseNetwork<T>& n) {
  return {0, 0, 0, n.units, n.outputs, 0};
}

template <class T>
struct DenseScratch {
  ForwardNetwork<T> lstm;
  int64_t padded;
  T* input_columns;  // (I, P): the input weights transposed
  T* input_bias;     // (P)
  T* gate_columns;   // (N, 4, P)
  T* gate_bias;      // (4, P)
  T* embedded;       // (block, P)
  T* gates;          // (block, 4, P)

  __attribute__((always_inline)) DenseScratch(Arena& arena, const DenseNetwork<T>& n, const LstmShape& s)
      : lstm(arena, s), padded(padded_units(n.units)) {
    input_columns = arena.take<T>(n.inputs * padded);
    input_bias = arena.take<T>(padded);
    gate_columns = arena.take<T>(n.units * 4 * padded);
    gate_bias = arena.take<T>(4 * padded);
    embedded = arena.take<T>(kTrajectoryBlock * padded);
    gates = arena.take<T>(kTrajectoryBlock * 4 * padded);
  }
};

template <class T>
int64_t dense_scratch(const DenseNetwork<T>& n) {
  Arena counter{nullptr};
  counter.take<DenseScratch<T>>(1);
  const DenseScratch<T> scratch(counter, n, shape_of(n));
  return counter.used;
}

template <class T>
void dense_start(const DenseNetwork<T>& n, int64_t chain, char* memory) {
  Arena arena{memory};
  DenseScratch<T>* scratch = arena.take<DenseScratch<T>>(1);
  DenseScratch<T> s(arena, n, shape_of(n));
  const int64_t units = n.units, padded = s.padded;
  s.lstm.set_chain({nullptr, nullptr, n.recurrent_weight, n.head_weight, n.head_bias}, chain);
  s.lstm.reset();
  fill_zero(s.input_columns, n.inputs * padded);
  fill_zero(s.input_bias, padded);
  fill_zero(s.gate_columns, units * 4 * padded);
  pad_gates<kLstmGates>(s.gate_bias, n.gate_bias + chain * 4 * units, 1, units, 4 * units);
  copy(s.input_bias, n.input_bias + chain * units, units);
  for (int64_t unit = 0; unit < units; ++unit) {
    const T* row = n.input_weight + (chain * units + unit) * n.inputs;
    for (int64_t i = 0; i < n.inputs; ++i) s.input_columns[i * padded + unit] = row[i];
  }
  for (int64_t gate = 0; gate < 4; ++gate) {
    for (int64_t unit = 0; unit < units; ++unit) {
      const T* row = n.gate_weight + ((chain * 4 + gate) * units + unit) * units;
      for (int64_t i = 0; i < units; ++i) s.gate_columns[(i * 4 + gate) * padded + unit] = row[i];
    }
  }
  *scratch = s;
}

template <class T>
void dense_step(const DenseNetwork<T>& n, char* memory, const T* inputs, int64_t count, T* outputs) {
  DenseScratch<T>& s = *reinterpret_cast<DenseScratch<T>*>(memory);
  const int64_t padded = s.padded;
  const T* rows[kTrajectoryBlock];
  for (int64_t k = 0; k < count; ++k) {
    copy(s.embedded + k * padded, s.input_bias, padded);
    copy(s.gates + k * 4 * padded, s.gate_bias, 4 * padded);
    rows[k] = s.gates + k * 4 * padded;
  }
  add_product(s.embedded, padded, inputs, n.inputs, 1, s.input_columns, padded, count, n.inputs, padded);
  for (int64_t i = 0; i < count * padded; i += kLanes<T>) {
    const Vec<T> x = load(s.embedded + i), zero = {};
    // NaN stays NaN
    store(s.embedded + i, x < 0 ? zero : x);
  }
  add_product(s.gates, 4 * padded, s.embedded, padded, 1, s.gate_columns, 4 * padded, count, n.units, 4 * padded);
  forward_step(s.lstm, rows, count, outputs, static_cast<T*>(nullptr));
}

template int64_t dense_scratch<float>(const DenseNetwork<float>&);
template int64_t dense_scratch<double>(const DenseNetwork<double>&);
template void dense_start<float>(const DenseNetwork<float>&, int64_t, char*);
template void dense_start<double>(const DenseNetwork<double>&, int64_t, char*);
template void dense_step<float>(const DenseNetwork<float>&, char*, const float*, int64_t, float*);
template void dense_step<double>(const DenseNetwork<double>&, char*, const double*, int64_t, double*);

}  // namespace mamrl::MAMRL_SIMD
