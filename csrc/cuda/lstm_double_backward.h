// The derivative of the LSTM's backward pass along a direction of the weights: a kernel forwards over time for the
// tangents, which also gives the gradient of grad_outputs, and one backwards through both (see common/lstm_cell.h).
#pragma once

#include "cuda/lstm_backward.h"

namespace mamrl {

// numbers of shared memory, see plan_block: h and its tangent before and after the step, the tangent of c
MAMRL_FN int64_t tangent_rows(const LstmShape& s) { return 5 * padded_units(s.units); }
MAMRL_FN int64_t tangent_weights(const LstmShape& s) { return 8 * s.units * padded_units(s.units); }
MAMRL_FN int64_t tangent_others(const LstmShape& s) { return 2 * s.outputs * padded_units(s.units); }

// packed, times carry, and direction: see pack_weights; tangents (T, M, K, 5, P): of the pre-activations and c
template <class T>
__global__ void __launch_bounds__(kThreads)
    lstm_tangent_kernel(LstmDoubleBackward<T> op, BlockPlan plan, const T* packed, const T* packed_direction,
                        T* tangents) {
  const LstmShape& s = op.shape;
  const int64_t padded = padded_units(s.units), step = s.chains * s.trajectories, size = 4 * s.units * padded;
  const int stride = plan.stride();
  const int64_t tasks = s.chains * plan.blocks(s.trajectories);
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const BlockPlace place(s, plan, task);
    SharedArrays<T> shared = {shared_memory<T>()};
    const T* const weights = place_weights(shared, plan.weights_in_shared, packed + place.chain * size, size);
    const T* const direction =
        place_weights(shared, plan.weights_in_shared, packed_direction + place.chain * size, size);
    T *hidden = shared.take(padded * stride), *d_hidden = shared.take(padded * stride);
    T *next_hidden = shared.take(padded * stride), *next_d_hidden = shared.take(padded * stride);
    T* const d_cell = shared.take(padded * stride);
    T *const head = shared.take(s.outputs * padded), *const d_head = shared.take(s.outputs * padded);
    const int64_t heads = place.chain * s.outputs * s.units;
    pad_by_block(head, op.weights.head + heads, s.outputs, s.units, padded);
    pad_by_block(d_head, op.direction.head + heads, s.outputs, s.units, padded);
    for (T* const array : {hidden, d_hidden, d_cell}) fill_by_block(array, padded * stride, T(0));
    __syncthreads();
    for (int64_t t = 0; t < s.horizon; ++t) {
      const int64_t index = place.index(s, t), back = t > 0 ? step * 5 * padded : 0;
      for (int64_t item = threadIdx.x; item / padded * kTile < place.count; item += blockDim.x) {
        const int64_t unit = item % padded;
        const int first = static_cast<int>(item / padded) * kTile;
        const RowTile<Gates, T> saved(op.saved + (index + first) * 5 * padded + unit, padded, back,
                                      place.count - first);
        T a[kTile][4] = {};
#pragma unroll
        for (int r = 0; r < kTile; ++r)
          if (first + r < place.count) load_gate_inputs(a[r], op.direction, s, place.chain, index + first + r, unit);
        add_product(a, hidden + first, stride, direction + unit * 4, 4 * padded, s.units);
        add_product(a, d_hidden + first, stride, weights + unit * 4, 4 * padded, s.units);
#pragma unroll
        for (int r = 0; r < kTile; ++r) {
          const int k = first + r;
          const int64_t at = unit * stride + k, row = (index + k) * 5 * padded + unit;
          if (k >= place.count) {
            next_hidden[at] = next_d_hidden[at] = T(0);
            continue;
          }
          const Gates<T>&y = saved.step[r], d_a = {a[r][0], a[r][1], a[r][2], a[r][3]};
          const T u = std::tanh(saved.state[r]), p_c = saved.earlier_state[r];
          const Gates<T> d_y = lstm_gate_tangents(y, d_a);
          const T d_c = lstm_cell_tangent(y, p_c, d_y, op.carry * d_cell[at]);
          d_cell[at] = d_c;
          store_gates(tangents + row, padded, d_a);
          tangents[row + 4 * padded] = d_c;
          next_hidden[at] = y.o * u;
          next_d_hidden[at] = lstm_hidden_tangent(y.o, u, d_y.o, d_c);
        }
      }
      __syncthreads();
      T *const before = hidden, *const d_before = d_hidden;
      hidden = next_hidden, d_hidden = next_d_hidden;
      next_hidden = before, next_d_hidden = d_before;
      // y. = Wo. h + Wo h. + bo.: what grad_outputs is multiplied with
      for (int64_t item = threadIdx.x; item < place.count * s.outputs; item += blockDim.x) {
        const int64_t k = item % place.count, output = item / place.count;
        T sum = 0;
        for (int64_t unit = 0; unit < s.units; ++unit) {
          sum += d_head[output * padded + unit] * hidden[unit * stride + k] +
                 head[output * padded + unit] * d_hidden[unit * stride + k];
        }
        op.grad_grad_outputs[(index + k) * s.outputs + output] =
            sum + op.direction.bias[place.chain * s.outputs + output];
      }
    }
    __syncthreads();
  }
}

// numbers of shared memory, see plan_block: adjoints of both passes (4P each), shares of their products (4P), what is
// carried to c (P) in both, and the outputs' gradients (A)
MAMRL_FN int64_t second_rows(const LstmShape& s) { return 14 * padded_units(s.units) + round_to_four(s.outputs); }
MAMRL_FN int64_t second_weights(const LstmShape& s) { return 2 * backward_weights(s); }

// padded_weights, padded_direction: see pad_weights, times carry; gate_adjoints, first_adjoints (T, M, K, 4P): of this
// pass and of the first backward; head_gradients (tasks, A P + A)
template <class T>
__global__ void __launch_bounds__(kThreads)
    lstm_second_kernel(LstmDoubleBackward<T> op, BlockPlan plan, const T* padded_weights, const T* padded_direction,
                       const T* tangents, T* gate_adjoints, T* first_adjoints, T* head_gradients) {
  const LstmShape& s = op.shape;
  const int64_t padded = padded_units(s.units), step = s.chains * s.trajectories, size = 4 * padded * padded;
  const int64_t head_size = head_gradient_size(s);
  const int stride = plan.stride(), tiles = plan.trajectories / kTile;
  const int64_t tasks = s.chains * plan.blocks(s.trajectories);
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const BlockPlace place(s, plan, task);
    SharedArrays<T> shared = {shared_memory<T>()};
    const T* const weights = place_weights(shared, plan.weights_in_shared, padded_weights + place.chain * size, size);
    const T* const direction =
        place_weights(shared, plan.weights_in_shared, padded_direction + place.chain * size, size);
    T *const adjoints = shared.take(4 * padded * stride), *const firsts = shared.take(4 * padded * stride);
    T *const shares = shared.take(4 * padded * stride), *const carried = shared.take(padded * stride);
    T *const first_carried = shared.take(padded * stride), *const grads =
                                                               shared.take(round_to_four(s.outputs) * stride);
    T *const d_head = shared.take(s.outputs * padded), *const head_gradient = shared.take(tiles * head_size);
    pad_by_block(d_head, op.direction.head + place.chain * s.outputs * s.units, s.outputs, s.units, padded);
    for (T* const array : {adjoints, firsts}) fill_by_block(array, 4 * padded * stride, T(0));
    for (T* const array : {carried, first_carried}) fill_by_block(array, padded * stride, T(0));
    fill_by_block(head_gradient, tiles * head_size, T(0));
    __syncthreads();
    for (int64_t t = s.horizon - 1; t >= 0; --t) {
      const int64_t index = place.index(s, t), back = t > 0 ? step * 5 * padded : 0;
      copy_by_block(grads, op.grad_outputs + index * s.outputs, place.count * s.outputs);
      multiply_adjoints<kLstmGates>(shares, adjoints, weights, padded, stride, place.count, false);
      multiply_adjoints<kLstmGates>(shares, firsts, direction, padded, stride, place.count, true);
      __syncthreads();
      for (int64_t item = threadIdx.x; item / padded * kTile < place.count; item += blockDim.x) {
        const int64_t unit = item % padded, tile = item / padded;
        const int first = static_cast<int>(tile) * kTile;
        const int64_t row = (index + first) * 5 * padded + unit;
        const RowTile<Gates, T> saved(op.saved + row, padded, back, place.count - first);
        const RowTile<Gates, T> tangent(tangents + row, padded, back, place.count - first);
        T hidden_adjoints[kTile], d_hidden[kTile] = {};
#pragma unroll
        for (int r = 0; r < kTile; ++r)
          if (first + r < place.count) hidden_adjoints[r] = op.adjoints[(index + first + r) * padded + unit];
#pragma unroll
        for (int r = 0; r < kTile; ++r) {
          const int k = first + r;
          if (k >= place.count) continue;
          const int64_t at = unit * stride + k, place_of = index + k;
          const Gates<T>&y = saved.step[r], &d_a = tangent.step[r];
          const T u = std::tanh(saved.state[r]), p_c = saved.earlier_state[r];
          const T d_c = tangent.state[r], d_p_c = op.carry * tangent.earlier_state[r];
          const Gates<T> d_y = lstm_gate_tangents(y, d_a);
          const T m_h = hidden_adjoints[r], m_c = lstm_cell_adjoint(y, u, m_h, first_carried[at]);
          const T l_h =
              gather_adjoint<kLstmGates>(shares, padded, at, stride, d_head, unit, grads + k * s.outputs, s.outputs);
          const CellSecond<T> l = lstm_second(y, p_c, u, d_a, d_y, d_p_c, d_c, m_h, m_c, l_h, carried[at]);
          const Gates<T> m_a = lstm_gate_adjoints(y, p_c, u, m_h, m_c);
          first_carried[at] = op.carry * (m_c * y.f);
          carried[at] = op.carry * l.p_c;
          d_hidden[r] = lstm_hidden_tangent(y.o, u, d_y.o, d_c);
          store_gates(adjoints + at, padded * stride, l.a);
          store_gates(firsts + at, padded * stride, m_a);
          store_gates(gate_adjoints + place_of * 4 * padded + unit, padded, l.a);
          store_gates(first_adjoints + place_of * 4 * padded + unit, padded, m_a);
          store_dense(op.gradients.gate_inputs, s, place_of, unit, l.a);
        }
        add_head_gradient(head_gradient + tile * head_size, d_hidden, grads + first * s.outputs, s.outputs, padded,
                          unit, place.count - first);
      }
      __syncthreads();
    }
    write_head_gradient(head_gradients + task * head_size, head_gradient, tiles, head_size);
    __syncthreads();
  }
}

}  // namespace mamrl
