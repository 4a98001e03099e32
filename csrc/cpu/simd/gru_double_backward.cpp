// The derivative of the GRU's backward pass along a direction of the weights: forwards over time for the tangents,
// which also gives the gradient of grad_outputs, then backwards through both (see common/gru_cell.h).
#include "cpu/simd/gru_reverse.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
struct GruDoubleBackwardScratch {
  int64_t padded;
  // tangent pass
  GateRows<T, kGruGates> rows;
  T* panels;          // (P / lanes, 2N, 3, lanes): of the direction, then of the weights times carry
  T* recurrent_bias;  // (P): of the direction
  T* heads;           // (A, 2, P): of the direction, then of the weights
  T* operand[2];      // (block, 2, P): h and its tangent, before and after the step
  T* tangents;        // (T, block, 5, P): of the pre-activations r, z, q, n, and of h
  // reverse pass
  T* recurrent;                 // (6P, P): the weights, then the direction, times carry
  T* hidden_grad;               // (block, P): l_h
  T* zeros;                     // (5, P): the step before the first
  ContractionRows<T> gathered;  // l_a and m_a of r, z, q, and l_a of n, beside h' and its tangent

  __attribute__((always_inline)) GruDoubleBackwardScratch(Arena& arena, const RecurrentShape& s)
      : padded(padded_units(s.units)),
        rows(arena, s),
        panels(arena.take<T>(2 * kGruGates * padded * s.units)),
        recurrent_bias(arena.take<T>(padded)),
        heads(arena.take<T>(2 * s.outputs * padded)),
        operand{arena.take<T>(2 * kTrajectoryBlock * padded), arena.take<T>(2 * kTrajectoryBlock * padded)},
        tangents(arena.take<T>(s.horizon * smaller(kTrajectoryBlock, s.trajectories) * 5 * padded)),
        recurrent(arena.take<T>(2 * kGruGates * padded * padded)),
        hidden_grad(arena.take<T>(kTrajectoryBlock * padded)),
        zeros(arena.take<T>(5 * padded)),
        gathered(arena, 7 * padded, 2 * padded) {}

  __attribute__((always_inline)) void set_chain(const RecurrentDoubleBackwardParts<T>& op, int64_t chain) {
    const RecurrentShape& s = op.shape;
    const int64_t weights = chain * kGruGates * s.units * s.units, head = chain * s.outputs * s.units;
    rows.set_chain(s, op.direction, chain);
    pack_recurrent<kGruGates>(panels, op.direction.recurrent + weights, s.units, 2 * s.units, 0);
    pack_recurrent<kGruGates>(panels, op.weights.recurrent + weights, s.units, 2 * s.units, s.units, op.carry);
    pad_rows(recurrent_bias, op.direction.recurrent_bias + chain * s.units, 1, s.units);
    pad_recurrent<kGruGates>(recurrent, op.weights.recurrent + weights, s.units, op.carry);
    pad_recurrent<kGruGates>(recurrent + kGruGates * padded * padded, op.direction.recurrent + weights, s.units,
                             op.carry);
    for (int64_t a = 0; a < s.outputs; ++a) {
      pad_rows(heads + 2 * a * padded, op.direction.head + head + a * s.units, 1, s.units);
      pad_rows(heads + (2 * a + 1) * padded, op.weights.head + head + a * s.units, 1, s.units);
    }
    fill_zero(zeros, 5 * padded);
  }
};

template <class T>
int64_t gru_double_backward_scratch(const RecurrentShape& shape) {
  Arena counter{nullptr};
  GruDoubleBackwardScratch<T> scratch(counter, shape);
  return counter.used;
}

// The tangents of one block of units of R trajectories; saved: this step's saved rows.
template <int R, class T>
MAMRL_TILE void tangent_tile(GruDoubleBackwardScratch<T>& s, int64_t units, T carry, int64_t first, int64_t unit,
                             const T* saved, T* tangents) {
  const int64_t padded = s.padded, operand_row = 2 * padded, panel_row = kGruGates * kLanes<T>;
  Vec<T> a[R][kGruGates];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    a[r][0] = load(s.rows.at[first + r] + unit);
    a[r][1] = load(s.rows.at[first + r] + padded + unit);
    a[r][2] = load(s.recurrent_bias + unit);
  }
  const T* panel = s.panels + unit * kGruGates * 2 * units;
  const T* operand = s.operand[0] + first * operand_row;
  multiply(a, operand, operand_row, 1, panel, panel_row, units);
  multiply(a, operand + padded, operand_row, 1, panel + units * panel_row, panel_row, units);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const int64_t k = first + r, at = k * operand_row + unit;
    const T* y_row = saved + k * 5 * padded + unit;
    const GruStep<Vec<T>> y = load_step(y_row, padded);
    GruChanges<Vec<T>> d = {a[r][0], a[r][1], a[r][2], {}};
    d.n = gru_new_tangent(y, d.r, d.q, load(s.rows.at[k] + 2 * padded + unit));
    const Vec<T> d_h = gru_hidden_tangent(y, d, load(s.operand[0] + at), carry * load(s.operand[0] + at + padded));
    T* tangent_row = tangents + k * 5 * padded + unit;
    store_changes(tangent_row, padded, 3 * padded, d);
    store(tangent_row + 4 * padded, d_h);
    store(s.operand[1] + at, load(y_row + 4 * padded));
    store(s.operand[1] + at + padded, d_h);
  }
}

template <class T>
static void tangent_pass(const RecurrentDoubleBackwardParts<T>& op, GruDoubleBackwardScratch<T>& s, int64_t chain,
                         int64_t first, int64_t count) {
  const RecurrentShape& shape = op.shape;
  const int64_t padded = s.padded, step = shape.chains * shape.trajectories, row = 5 * padded;
  fill_zero(s.operand[0], 2 * kTrajectoryBlock * padded);
  for (int64_t t = 0; t < shape.horizon; ++t) {
    const int64_t index = (t * shape.chains + chain) * shape.trajectories + first;
    const T* saved = op.saved + index * row;
    T* tangents = s.tangents + t * count * row;
    s.rows.set_step(shape, op.direction, index, count);
    Ahead ahead;
    if (t + 1 < shape.horizon) {
      const int64_t tiles = padded / kLanes<T> * (count / kTileRows + 1);
      ahead.add(saved + step * row, count * row, tiles);
      ahead.add(tangents + count * row, count * row, tiles);
      if (!shape.rows) {
        const int64_t inputs = kGruGates * shape.units;
        ahead.add(op.direction.gate_inputs + (index + step) * inputs, count * inputs, tiles);
      }
    }
    for (int64_t unit = 0; unit < padded; unit += kLanes<T>) {
      for_tiles(count, [&]<int R>(int64_t k) __attribute__((always_inline)) {
        ahead.next();
        tangent_tile<R>(s, shape.units, op.carry, k, unit, saved, tangents);
      });
    }
    T* before = s.operand[0];
    s.operand[0] = s.operand[1];
    s.operand[1] = before;
    // y. = V. h + V h. + c.: what grad_outputs is multiplied with
    apply_head(op.grad_grad_outputs + index * shape.outputs, s.heads, op.direction.bias + chain * shape.outputs,
               s.operand[0], count, shape.outputs, 2 * padded);
  }
}

template <class T>
static void reverse_pass(const RecurrentDoubleBackwardParts<T>& op, GruDoubleBackwardScratch<T>& s,
                         const Partial<T, kGruGates>& partial, int64_t chain, int64_t first, int64_t count) {
  const RecurrentShape& shape = op.shape;
  const int64_t padded = s.padded, outputs = shape.outputs, row = 5 * padded, hidden = 4 * padded;
  const int64_t step = shape.chains * shape.trajectories, half = kGruGates * padded;
  const int64_t adjoint_stride = s.gathered.adjoint_stride, hidden_stride = s.gathered.hidden_stride;
  fill_zero(s.hidden_grad, count * padded);
  s.gathered.start(count);
  for (int64_t t = shape.horizon - 1; t >= 0; --t) {
    const int64_t index = (t * shape.chains + chain) * shape.trajectories + first;
    const T* saved = op.saved + index * row;
    const T* tangents = s.tangents + t * count * row;
    const T* grads = op.grad_outputs + index * outputs;
    // hidden_grad is what the later step carries beside its pre-activations as yet
    add_product(s.hidden_grad, padded, grads, outputs, 1, s.heads, 2 * padded, count, outputs, padded);
    Ahead ahead;
    if (t > 0) {
      const int64_t tiles = product_tiles<T>(count, 2 * half, padded);
      ahead.add(saved - step * row, count * row, tiles);
      ahead.add(tangents - count * row, count * row, tiles);
      ahead.add(op.adjoints + (index - step) * padded, count * padded, tiles);
    }
    if (t + 1 < shape.horizon) {
      add_product(s.hidden_grad, padded, s.gathered.current_adjoints(), adjoint_stride, 1, s.recurrent, padded, count,
                  2 * half, padded, ahead);
    }
    s.gathered.next();
    T* second_adjoints = s.gathered.current_adjoints();
    T* earlier_hidden = s.gathered.current_hidden();
    for (int64_t k = 0; k < count; ++k) {
      const T* y_row = saved + k * row;
      const T* tangent_row = tangents + k * row;
      const T* p_row = (t ? y_row - step * row : s.zeros) + hidden;
      const T* p_tangent_row = (t ? tangent_row - count * row : s.zeros) + hidden;
      const T* adjoint_row = op.adjoints + (index + k) * padded;
      for (int64_t unit = 0; unit < padded; unit += kLanes<T>) {
        const int64_t at = k * padded + unit;
        const GruStep<Vec<T>> y = load_step(y_row + unit, padded);
        const GruChanges<Vec<T>> d = load_changes(tangent_row + unit, padded);
        const Vec<T> p_h = load(p_row + unit), d_p_h = op.carry * load(p_tangent_row + unit);
        const Vec<T> m_h = load(adjoint_row + unit), l_h = load(s.hidden_grad + at);
        const GruSecond<Vec<T>> l = gru_second(y, d, p_h, d_p_h, m_h, l_h);
        store(s.hidden_grad + at, op.carry * l.p_h);
        T* second_row = second_adjoints + k * adjoint_stride + unit;
        store_changes(second_row, padded, 2 * half, l.a);
        const GruChanges<Vec<T>> m = gru_adjoints(y, p_h, m_h);
        store(second_row + half, m.r);
        store(second_row + half + padded, m.z);
        store(second_row + half + 2 * padded, m.q);
        store(earlier_hidden + k * hidden_stride + unit, p_h);
        store(earlier_hidden + k * hidden_stride + padded + unit, d_p_h);
      }
    }
    add_product(partial.head, padded, grads, 1, outputs, tangents + hidden, row, outputs, count, padded);
    scatter_gate_gradient<kGruGates>(op.grad_dense(), partial.table, op.weights.states, shape, index, second_adjoints,
                                     adjoint_stride, 2 * half, count);
    if (s.gathered.full() || t == 0) {
      for (int64_t pass = 0; pass < 2; ++pass) {
        add_product(partial.recurrent, padded, s.gathered.adjoints + pass * half, 1, adjoint_stride,
                    s.gathered.hidden + pass * padded, hidden_stride, half, s.gathered.filled, padded);
      }
      add_sum(partial.recurrent_bias, s.gathered.adjoints + 2 * padded, adjoint_stride, s.gathered.filled, padded);
      s.gathered.flush();
    }
  }
}

template <class T>
void gru_double_backward(const RecurrentDoubleBackwardParts<T>& op, int64_t first_task, int64_t last_task,
                         char* memory) {
  Arena arena{memory};
  const RecurrentShape& shape = op.shape;
  GruDoubleBackwardScratch<T> scratch(arena, shape);
  int64_t packed_chain = -1;
  for (int64_t task = first_task; task < last_task; ++task) {
    const Partial<T, kGruGates> partial(op.partials + task * partial_size(shape, kGruGates), shape);
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

template int64_t gru_double_backward_scratch<float>(const RecurrentShape&);
template int64_t gru_double_backward_scratch<double>(const RecurrentShape&);
template void gru_double_backward<float>(const RecurrentDoubleBackwardParts<float>&, int64_t, int64_t, char*);
template void gru_double_backward<double>(const RecurrentDoubleBackwardParts<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
