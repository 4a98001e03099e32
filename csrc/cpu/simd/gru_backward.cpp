// The GRU's backward pass: backwards over time, with the weight gradients gathered from several steps at once.
#include "cpu/simd/gru_reverse.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
struct GruBackwardScratch {
  int64_t padded;
  T* recurrent;    // (3P, P)
  T* head;         // (A, P)
  T* hidden_grad;  // (block, P): m_h
  T* zeros;        // (P): h before the first step
  ContractionRows<T> rows;

  __attribute__((always_inline)) GruBackwardScratch(Arena& arena, const RecurrentShape& s)
      : padded(padded_units(s.units)),
        recurrent(arena.take<T>(kGruGates * padded * padded)),
        head(arena.take<T>(s.outputs * padded)),
        hidden_grad(arena.take<T>(kTrajectoryBlock * padded)),
        zeros(arena.take<T>(padded)),
        rows(arena, 4 * padded, padded) {}
};

template <class T>
int64_t gru_backward_scratch(const RecurrentShape& shape) {
  Arena counter{nullptr};
  GruBackwardScratch<T> scratch(counter, shape);
  return counter.used;
}

template <class T>
static void backward_block(const RecurrentBackwardParts<T>& op, GruBackwardScratch<T>& s,
                           const Partial<T, kGruGates>& partial, int64_t chain, int64_t first, int64_t count) {
  const RecurrentShape& shape = op.shape;
  const int64_t padded = s.padded, outputs = shape.outputs, saved_row = 5 * padded;
  const int64_t step = shape.chains * shape.trajectories;
  fill_zero(s.hidden_grad, count * padded);
  fill_zero(s.zeros, padded);
  s.rows.start(count);
  for (int64_t t = shape.horizon - 1; t >= 0; --t) {
    const int64_t index = (t * shape.chains + chain) * shape.trajectories + first;
    const T* saved = op.saved + index * saved_row;
    const T* grads = op.grad_outputs + index * outputs;
    // hidden_grad is carry z(t+1) m_h(t+1) as yet
    add_product(s.hidden_grad, padded, grads, outputs, 1, s.head, padded, count, outputs, padded);
    Ahead ahead;
    if (t > 0) {
      const int64_t tiles = product_tiles<T>(count, kGruGates * padded, padded);
      ahead.add(saved - step * saved_row, count * saved_row, tiles);
      ahead.add(op.adjoints + (index - step) * padded, count * padded, tiles);
      if (!shape.rows) {
        const int64_t row = kGruGates * shape.units;
        ahead.add(op.gradients.gate_inputs + (index - step) * row, count * row, tiles);
      }
    }
    if (t + 1 < shape.horizon) {
      add_product(s.hidden_grad, padded, s.rows.current_adjoints(), s.rows.adjoint_stride, 1, s.recurrent, padded,
                  count, kGruGates * padded, padded, ahead);
    }
    s.rows.next();
    T* gate_adjoints = s.rows.current_adjoints();
    T* earlier_hidden = s.rows.current_hidden();
    for (int64_t k = 0; k < count; ++k) {
      const T* y_row = saved + k * saved_row;
      const T* p_row = t > 0 ? y_row - step * saved_row + 4 * padded : s.zeros;
      T* adjoint_row = op.adjoints + (index + k) * padded;
      for (int64_t unit = 0; unit < padded; unit += kLanes<T>) {
        const int64_t at = k * padded + unit;
        const GruStep<Vec<T>> y = load_step(y_row + unit, padded);
        const Vec<T> m_h = load(s.hidden_grad + at), p_h = load(p_row + unit);
        const GruChanges<Vec<T>> m = gru_adjoints(y, p_h, m_h);
        store_changes(gate_adjoints + k * s.rows.adjoint_stride + unit, padded, 3 * padded, m);
        store(earlier_hidden + at, p_h);
        store(s.hidden_grad + at, op.carry * (y.z * m_h));
        store(adjoint_row + unit, m_h);
      }
    }
    add_product(partial.head, padded, grads, 1, outputs, saved + 4 * padded, saved_row, outputs, count, padded);
    add_bias_gradient(partial.bias, grads, count, outputs);
    scatter_gate_gradient<kGruGates>(op.grad_dense(), partial.table, op.weights.states, shape, index, gate_adjoints,
                                     s.rows.adjoint_stride, 3 * padded, count);
    if (s.rows.full() || t == 0) {
      add_product(partial.recurrent, padded, s.rows.adjoints, 1, s.rows.adjoint_stride, s.rows.hidden, padded,
                  kGruGates * padded, s.rows.filled, padded);
      add_sum(partial.recurrent_bias, s.rows.adjoints + 2 * padded, s.rows.adjoint_stride, s.rows.filled, padded);
      s.rows.flush();
    }
  }
}

template <class T>
void gru_backward(const RecurrentBackwardParts<T>& op, int64_t first_task, int64_t last_task, char* memory) {
  Arena arena{memory};
  const RecurrentShape& shape = op.shape;
  GruBackwardScratch<T> scratch(arena, shape);
  int64_t packed_chain = -1;
  for (int64_t task = first_task; task < last_task; ++task) {
    const Partial<T, kGruGates> partial(op.partials + task * partial_size(shape, kGruGates), shape);
    for_each_block(shape, task, [&](int64_t chain, int64_t first, int64_t count) __attribute__((always_inline)) {
      if (chain != packed_chain) {
        pad_recurrent<kGruGates>(scratch.recurrent,
                                 op.weights.recurrent + chain * kGruGates * shape.units * shape.units, shape.units,
                                 op.carry);
        pad_rows(scratch.head, op.weights.head + chain * shape.outputs * shape.units, shape.outputs, shape.units);
        packed_chain = chain;
      }
      backward_block(op, scratch, partial, chain, first, count);
    });
  }
}

template int64_t gru_backward_scratch<float>(const RecurrentShape&);
template int64_t gru_backward_scratch<double>(const RecurrentShape&);
template void gru_backward<float>(const RecurrentBackwardParts<float>&, int64_t, int64_t, char*);
template void gru_backward<double>(const RecurrentBackwardParts<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
