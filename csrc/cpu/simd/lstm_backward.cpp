// The LSTM's backward pass: backwards over time, with the weight gradients gathered from several steps at
// once.
#include "cpu/simd/lstm_reverse.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
struct BackwardScratch {
  int64_t padded;
  T* recurrent;    // (4P, P)
  T* head;         // (A, P)
  T* hidden_grad;  // (block, P): m_h
  T* carried;      // (block, P): carry f(t+1) m_c(t+1)
  T* tanh_cell;    // (block, P): u of the step in hand
  ContractionRows<T> rows;

  __attribute__((always_inline)) BackwardScratch(Arena& arena, const LstmShape& s)
      : padded(padded_units(s.units)),
        recurrent(arena.take<T>(4 * padded * padded)),
        head(arena.take<T>(s.outputs * padded)),
        hidden_grad(arena.take<T>(kTrajectoryBlock * padded)),
        carried(arena.take<T>(kTrajectoryBlock * padded)),
        tanh_cell(arena.take<T>(kTrajectoryBlock * padded)),
        rows(arena, 4 * padded, padded) {}
};

template <class T>
int64_t lstm_backward_scratch(const LstmShape& shape) {
  Arena counter{nullptr};
  BackwardScratch<T> scratch(counter, shape);
  return counter.used;
}

template <class T>
static void backward_block(const RecurrentBackwardParts<T>& op, BackwardScratch<T>& s,
                           const Partial<T, kLstmGates>& partial, int64_t chain, int64_t first, int64_t count) {
  const LstmShape& shape = op.shape;
  const int64_t padded = s.padded, outputs = shape.outputs, saved_row = 5 * padded;
  const int64_t step = shape.chains * shape.trajectories;
  fill_zero(s.carried, count * padded);
  s.rows.start(count);
  for (int64_t t = shape.horizon - 1; t >= 0; --t) {
    const int64_t index = (t * shape.chains + chain) * shape.trajectories + first;
    const T* saved = op.saved + index * saved_row;
    const T* grads = op.grad_outputs + index * outputs;
    const bool last = t + 1 == shape.horizon;
    if (last) tanh_cells(s.tanh_cell, saved, count, padded);
    transpose_head(s.hidden_grad, grads, s.head, padded, count, outputs, padded);
    Ahead ahead;
    if (t > 0) {
      const int64_t tiles = product_tiles<T>(count, 4 * padded, padded);
      ahead.add(saved - step * saved_row, count * saved_row, tiles);
      ahead.add(op.adjoints + (index - step) * padded, count * padded, tiles);
    }
    if (!last) {
      add_product(s.hidden_grad, padded, s.rows.current_adjoints(), s.rows.adjoint_stride, 1, s.recurrent, padded,
                  count, 4 * padded, padded, ahead);
    }
    s.rows.next();
    T* gate_adjoints = s.rows.current_adjoints();
    T* earlier_hidden = s.rows.current_hidden();
    for (int64_t k = 0; k < count; ++k) {
      const T* y_row = saved + k * saved_row;
      const T* p_row = y_row - step * saved_row;
      T* adjoint_row = op.adjoints + (index + k) * padded;
      for (int64_t unit = 0; unit < padded; unit += kLanes<T>) {
        const Gates<Vec<T>> y = load_gates(y_row + unit, padded);
        const int64_t at = k * padded + unit;
        const Vec<T> u = load(s.tanh_cell + at), m_h = load(s.hidden_grad + at);
        const Vec<T> m_c = lstm_cell_adjoint(y, u, m_h, load(s.carried + at));
        Vec<T> p_c = {}, p_u = {}, p_h = {};
        if (t > 0) {
          p_c = load(p_row + 4 * padded + unit);
          p_u = tanh(p_c);
          p_h = load(p_row + 3 * padded + unit) * p_u;
        }
        store_gates(gate_adjoints + k * s.rows.adjoint_stride + unit, padded, lstm_gate_adjoints(y, p_c, u, m_h, m_c));
        store(earlier_hidden + at, p_h);
        store(s.tanh_cell + at, p_u);
        store(s.carried + at, op.carry * (m_c * y.f));
        store(adjoint_row + unit, m_h);
        // the head's gradient, with h of this step
        const Vec<T> h = y.o * u;
        for (int64_t a = 0; a < outputs; ++a) {
          T* head = partial.head + a * padded + unit;
          store(head, load(head) + grads[k * outputs + a] * h);
        }
      }
    }
    add_bias_gradient(partial.bias, grads, count, outputs);
    scatter_gate_gradient<kLstmGates>(op.grad_dense(), partial.table, op.weights.states, shape, index, gate_adjoints,
                                      s.rows.adjoint_stride, 3 * padded, count);
    if (s.rows.full() || t == 0) {
      add_product(partial.recurrent, padded, s.rows.adjoints, 1, s.rows.adjoint_stride, s.rows.hidden, padded,
                  4 * padded, s.rows.filled, padded);
      s.rows.flush();
    }
  }
}

template <class T>
void lstm_backward(const RecurrentBackwardParts<T>& op, int64_t first_task, int64_t last_task, char* memory) {
  Arena arena{memory};
  const LstmShape& shape = op.shape;
  BackwardScratch<T> scratch(arena, shape);
  int64_t packed_chain = -1;
  for (int64_t task = first_task; task < last_task; ++task) {
    const Partial<T, kLstmGates> partial(op.partials + task * partial_size(shape, kLstmGates), shape);
    for_each_block(shape, task, [&](int64_t chain, int64_t first, int64_t count) __attribute__((always_inline)) {
      if (chain != packed_chain) {
        pad_recurrent<kLstmGates>(scratch.recurrent, op.weights.recurrent + chain * 4 * shape.units * shape.units,
                                  shape.units, op.carry);
        pad_rows(scratch.head, op.weights.head + chain * shape.outputs * shape.units, shape.outputs, shape.units);
        packed_chain = chain;
      }
      backward_block(op, scratch, partial, chain, first, count);
    });
  }
}

template int64_t lstm_backward_scratch<float>(const LstmShape&);
template int64_t lstm_backward_scratch<double>(const LstmShape&);
template void lstm_backward<float>(const RecurrentBackwardParts<float>&, int64_t, int64_t, char*);
template void lstm_backward<double>(const RecurrentBackwardParts<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
