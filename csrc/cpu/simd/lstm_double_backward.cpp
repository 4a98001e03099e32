// The derivative of the LSTM's backward pass along a direction of the weights: forwards over time for the
// tangents, which also gives the gradient of grad_outputs, then backwards through both (see
// common/lstm_cell.h).
#include "cpu/simd/lstm_reverse.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
struct DoubleBackwardScratch {
  int64_t padded;
  // tangent pass
  GateRows<T, kLstmGates> rows;
  T* panels;      // (P / lanes, 2N, 4, lanes): of the direction, then of the weights times carry
  T* heads;       // (A, 2, P): of the direction, then of the weights
  T* operand[2];  // (block, 2, P): h and its tangent, before and after the step
  T* tangents;    // (T, block, 5, P): of the pre-activations and c
  // reverse pass
  T* recurrent;                 // (8P, P): the weights, then the direction, times carry
  T* hidden_grad;               // (block, P): l_h
  T* carried;                   // (block, P): what later steps carry to c
  T* first_carried;             // (block, P): the same of the first backward
  T* tanh_cell;                 // (block, P)
  T* zeros;                     // (5, P): the step before the first
  ContractionRows<T> gathered;  // l_a and m_a beside h' and its tangent

  __attribute__((always_inline)) DoubleBackwardScratch(Arena& arena, const LstmShape& s)
      : padded(padded_units(s.units)),
        rows(arena, s),
        panels(arena.take<T>(8 * padded * s.units)),
        heads(arena.take<T>(2 * s.outputs * padded)),
        operand{arena.take<T>(2 * kTrajectoryBlock * padded), arena.take<T>(2 * kTrajectoryBlock * padded)},
        tangents(arena.take<T>(s.horizon * smaller(kTrajectoryBlock, s.trajectories) * 5 * padded)),
        recurrent(arena.take<T>(8 * padded * padded)),
        hidden_grad(arena.take<T>(kTrajectoryBlock * padded)),
        carried(arena.take<T>(kTrajectoryBlock * padded)),
        first_carried(arena.take<T>(kTrajectoryBlock * padded)),
        tanh_cell(arena.take<T>(kTrajectoryBlock * padded)),
        zeros(arena.take<T>(5 * padded)),
        gathered(arena, 8 * padded, 2 * padded) {}

  __attribute__((always_inline)) void set_chain(const RecurrentDoubleBackwardParts<T>& op, int64_t chain) {
    const LstmShape& s = op.shape;
    const int64_t weights = chain * 4 * s.units * s.units, head = chain * s.outputs * s.units;
    rows.set_chain(s, op.direction, chain);
    pack_recurrent<kLstmGates>(panels, op.direction.recurrent + weights, s.units, 2 * s.units, 0);
    pack_recurrent<kLstmGates>(panels, op.weights.recurrent + weights, s.units, 2 * s.units, s.units, op.carry);
    pad_recurrent<kLstmGates>(recurrent, op.weights.recurrent + weights, s.units, op.carry);
    pad_recurrent<kLstmGates>(recurrent + 4 * padded * padded, op.direction.recurrent + weights, s.units, op.carry);
    for (int64_t a = 0; a < s.outputs; ++a) {
      pad_rows(heads + 2 * a * padded, op.direction.head + head + a * s.units, 1, s.units);
      pad_rows(heads + (2 * a + 1) * padded, op.weights.head + head + a * s.units, 1, s.units);
    }
    fill_zero(zeros, 5 * padded);
  }
};

template <class T>
int64_t lstm_double_backward_scratch(const LstmShape& shape) {
  Arena counter{nullptr};
  DoubleBackwardScratch<T> scratch(counter, shape);
  return counter.used;
}

// The tangents of one block of units of R trajectories. saved, earlier: this step's and the last one's saved
// rows, `earlier_row` apart (0 before the first step).
template <int R, class T>
MAMRL_TILE void tangent_tile(DoubleBackwardScratch<T>& s, int64_t units, T carry, int64_t first, int64_t unit,
                             const T* saved, const T* earlier, int64_t earlier_row, T* tangents,
                             const T* earlier_tangents, int64_t earlier_tangent_row) {
  const int64_t padded = s.padded, operand_row = 2 * padded;
  Vec<T> a[R][4];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int gate = 0; gate < 4; ++gate) a[r][gate] = load(s.rows.at[first + r] + gate * padded + unit);
  }
  const T* panel = s.panels + unit * 4 * 2 * units;
  const T* operand = s.operand[0] + first * operand_row;
  multiply(a, operand, operand_row, 1, panel, 4 * kLanes<T>, units);
  multiply(a, operand + padded, operand_row, 1, panel + units * 4 * kLanes<T>, 4 * kLanes<T>, units);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const int64_t k = first + r;
    const T* y_row = saved + k * 5 * padded + unit;
    const Gates<Vec<T>> y = load_gates(y_row, padded), d_a = {a[r][0], a[r][1], a[r][2], a[r][3]};
    const Vec<T> u = tanh(load(y_row + 4 * padded));
    const Gates<Vec<T>> d_y = lstm_gate_tangents(y, d_a);
    const Vec<T> d_c = lstm_cell_tangent(y, load(earlier + k * earlier_row + 4 * padded + unit), d_y,
                                         carry * load(earlier_tangents + k * earlier_tangent_row + 4 * padded + unit));
    T* tangent_row = tangents + k * 5 * padded + unit;
    store_gates(tangent_row, padded, d_a);
    store(tangent_row + 4 * padded, d_c);
    store(s.operand[1] + k * operand_row + unit, y.o * u);
    store(s.operand[1] + k * operand_row + padded + unit, lstm_hidden_tangent(y.o, u, d_y.o, d_c));
  }
}

template <class T>
static void tangent_pass(const RecurrentDoubleBackwardParts<T>& op, DoubleBackwardScratch<T>& s, int64_t chain,
                         int64_t first, int64_t count) {
  const LstmShape& shape = op.shape;
  const int64_t padded = s.padded, step = shape.chains * shape.trajectories, row = 5 * padded;
  fill_zero(s.operand[0], 2 * kTrajectoryBlock * padded);
  for (int64_t t = 0; t < shape.horizon; ++t) {
    const int64_t index = (t * shape.chains + chain) * shape.trajectories + first;
    const T* saved = op.saved + index * row;
    T* tangents = s.tangents + t * count * row;
    const T* earlier = t ? saved - step * row : s.zeros;
    const T* earlier_tangents = t ? tangents - count * row : s.zeros;
    const int64_t earlier_row = t ? row : 0;
    s.rows.set_step(shape, op.direction, index, count);
    Ahead ahead;
    if (t + 1 < shape.horizon) {
      const int64_t tiles = padded / kLanes<T> * (count / kTileRows + 1);
      ahead.add(saved + step * row, count * row, tiles);
      ahead.add(tangents + count * row, count * row, tiles);
    }
    for (int64_t unit = 0; unit < padded; unit += kLanes<T>) {
      for_tiles(count, [&]<int R>(int64_t k) __attribute__((always_inline)) {
        ahead.next();
        tangent_tile<R>(s, shape.units, op.carry, k, unit, saved, earlier, earlier_row, tangents, earlier_tangents,
                        earlier_row);
      });
    }
    T* before = s.operand[0];
    s.operand[0] = s.operand[1];
    s.operand[1] = before;
    // y. = Wo. h + Wo h. + bo.: what grad_outputs is multiplied with
    apply_head(op.grad_grad_outputs + index * shape.outputs, s.heads, op.direction.bias + chain * shape.outputs,
               s.operand[0], count, shape.outputs, 2 * padded);
  }
}

template <class T>
static void reverse_pass(const RecurrentDoubleBackwardParts<T>& op, DoubleBackwardScratch<T>& s,
                         const Partial<T, kLstmGates>& partial, int64_t chain, int64_t first, int64_t count) {
  const LstmShape& shape = op.shape;
  const int64_t padded = s.padded, outputs = shape.outputs, row = 5 * padded;
  const int64_t step = shape.chains * shape.trajectories;
  const int64_t adjoint_stride = s.gathered.adjoint_stride, hidden_stride = s.gathered.hidden_stride;
  fill_zero(s.carried, count * padded);
  fill_zero(s.first_carried, count * padded);
  s.gathered.start(count);
  for (int64_t t = shape.horizon - 1; t >= 0; --t) {
    const int64_t index = (t * shape.chains + chain) * shape.trajectories + first;
    const T* saved = op.saved + index * row;
    const T* tangents = s.tangents + t * count * row;
    const T* grads = op.grad_outputs + index * outputs;
    const bool last = t + 1 == shape.horizon;
    if (last) tanh_cells(s.tanh_cell, saved, count, padded);
    transpose_head(s.hidden_grad, grads, s.heads, 2 * padded, count, outputs, padded);
    Ahead ahead;
    if (t > 0) {
      const int64_t tiles = product_tiles<T>(count, 8 * padded, padded);
      ahead.add(saved - step * row, count * row, tiles);
      ahead.add(tangents - count * row, count * row, tiles);
      ahead.add(op.adjoints + (index - step) * padded, count * padded, tiles);
    }
    if (!last) {
      add_product(s.hidden_grad, padded, s.gathered.current_adjoints(), adjoint_stride, 1, s.recurrent, padded, count,
                  8 * padded, padded, ahead);
    }
    s.gathered.next();
    T* second_adjoints = s.gathered.current_adjoints();
    T* earlier_hidden = s.gathered.current_hidden();
    for (int64_t k = 0; k < count; ++k) {
      const T* y_row = saved + k * row;
      const T* tangent_row = tangents + k * row;
      const T* p_row = t ? y_row - step * row : s.zeros;
      const T* p_tangent_row = t ? tangent_row - count * row : s.zeros;
      const T* adjoint_row = op.adjoints + (index + k) * padded;
      for (int64_t unit = 0; unit < padded; unit += kLanes<T>) {
        const int64_t at = k * padded + unit, cell = 4 * padded + unit;
        const Gates<Vec<T>> y = load_gates(y_row + unit, padded), d_a = load_gates(tangent_row + unit, padded);
        const Vec<T> u = load(s.tanh_cell + at), p_c = load(p_row + cell), d_p_c = load(p_tangent_row + cell);
        const Gates<Vec<T>> d_y = lstm_gate_tangents(y, d_a);
        const Vec<T> d_c = load(tangent_row + cell), m_h = load(adjoint_row + unit);
        const Vec<T> m_c = lstm_cell_adjoint(y, u, m_h, load(s.first_carried + at));
        const CellSecond<Vec<T>> l = lstm_second(y, p_c, u, d_a, d_y, op.carry * d_p_c, d_c, m_h, m_c,
                                                 load(s.hidden_grad + at), load(s.carried + at));
        store(s.first_carried + at, op.carry * (m_c * y.f));
        store(s.carried + at, op.carry * l.p_c);
        T* second_row = second_adjoints + k * adjoint_stride + unit;
        store_gates(second_row, padded, l.a);
        store_gates(second_row + 4 * padded, padded, lstm_gate_adjoints(y, p_c, u, m_h, m_c));
        // h of the step before and its tangent, for the weight gradient
        const int64_t output_gate = 3 * padded + unit;
        const Vec<T> p_o = load(p_row + output_gate), p_u = tanh(p_c);
        const Vec<T> d_p_o = p_o * (1 - p_o) * load(p_tangent_row + output_gate);
        store(s.tanh_cell + at, p_u);
        store(earlier_hidden + k * hidden_stride + unit, p_o * p_u);
        store(earlier_hidden + k * hidden_stride + padded + unit,
              op.carry * lstm_hidden_tangent(p_o, p_u, d_p_o, d_p_c));
        const Vec<T> d_h = lstm_hidden_tangent(y.o, u, d_y.o, d_c);
        for (int64_t a = 0; a < outputs; ++a) {
          T* head = partial.head + a * padded + unit;
          store(head, load(head) + grads[k * outputs + a] * d_h);
        }
      }
    }
    scatter_gate_gradient<kLstmGates>(op.grad_dense(), partial.table, op.weights.states, shape, index, second_adjoints,
                                      adjoint_stride, 3 * padded, count);
    if (s.gathered.full() || t == 0) {
      for (int64_t half = 0; half < 2; ++half) {
        add_product(partial.recurrent, padded, s.gathered.adjoints + half * 4 * padded, 1, adjoint_stride,
                    s.gathered.hidden + half * padded, hidden_stride, 4 * padded, s.gathered.filled, padded);
      }
      s.gathered.flush();
    }
  }
}

template <class T>
void lstm_double_backward(const RecurrentDoubleBackwardParts<T>& op, int64_t first_task, int64_t last_task,
                          char* memory) {
  Arena arena{memory};
  const LstmShape& shape = op.shape;
  DoubleBackwardScratch<T> scratch(arena, shape);
  int64_t packed_chain = -1;
  for (int64_t task = first_task; task < last_task; ++task) {
    const Partial<T, kLstmGates> partial(op.partials + task * partial_size(shape, kLstmGates), shape);
    for_each_block(shape, task, [&](int64_t chain, int64_t first, int64_t count) __attribute__((always_inline)) {
      if (chain != packed_chain) {
        scratch.set_chain(op, chain);
        packed_chain = chain;
      }
      tangent_pass(op, scratch, chain, first, count);
      reverse_pass(op, scratch, partial, chain, first, count);
    });
  }
}

template int64_t lstm_double_backward_scratch<float>(const LstmShape&);
template int64_t lstm_double_backward_scratch<double>(const LstmShape&);
template void lstm_double_backward<float>(const RecurrentDoubleBackwardParts<float>&, int64_t, int64_t, char*);
template void lstm_double_backward<double>(const RecurrentDoubleBackwardParts<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
