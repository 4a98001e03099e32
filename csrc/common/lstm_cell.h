// One step of an LSTM cell and its first and second derivatives. V is a number, or a register of numbers.
//
// Gates are in torch's order: input i, forget f, cell g, output o; a is a pre-activation, c the cell, u =
// tanh(c), h = o u the hidden state. A prefix p_ marks the value of the step before, d_ a derivative along a
// direction (tangent), m_ an adjoint of the first backward pass, l_ an adjoint of the second.
//
// A derivative that passes between h', c' and the step is multiplied by `carry` in both passes, adjoints and tangents
// alike: the derivative of a network whose state is carry x + (1 - carry) stop_gradient(x) between two steps.
#pragma once

#include "common/host_device.h"

namespace mamrl {

template <class V>
struct Gates {
  V i, f, g, o;
};

// c = f c' + i g
template <class V>
MAMRL_FN V lstm_cell(const Gates<V>& y, V p_c) {
  return y.f * p_c + y.i * y.g;
}

// ---- backward: m_c is the whole adjoint of c, m_c = m_h o (1 - u^2) + f(t+1) m_c(t+1) ----

template <class V>
MAMRL_FN V lstm_cell_adjoint(const Gates<V>& y, V u, V m_h, V carried) {
  return m_h * y.o * (1 - u * u) + carried;
}

// the adjoints of the four pre-activations
template <class V>
MAMRL_FN Gates<V> lstm_gate_adjoints(const Gates<V>& y, V p_c, V u, V m_h, V m_c) {
  return {m_c * y.g * y.i * (1 - y.i), m_c * p_c * y.f * (1 - y.f), m_c * y.i * (1 - y.g * y.g),
          m_h * u * y.o * (1 - y.o)};
}

// ---- double backward, first half: the step's derivative along (d_a, d_c') ----

template <class V>
MAMRL_FN Gates<V> lstm_gate_tangents(const Gates<V>& y, const Gates<V>& d_a) {
  return {y.i * (1 - y.i) * d_a.i, y.f * (1 - y.f) * d_a.f, (1 - y.g * y.g) * d_a.g, y.o * (1 - y.o) * d_a.o};
}

template <class V>
MAMRL_FN V lstm_cell_tangent(const Gates<V>& y, V p_c, const Gates<V>& d_y, V d_p_c) {
  return d_y.f * p_c + y.f * d_p_c + d_y.i * y.g + y.i * d_y.g;
}

// of h = o u, with d_u = (1 - u^2) d_c
template <class V>
MAMRL_FN V lstm_hidden_tangent(V o, V u, V d_o, V d_c) {
  return d_o * u + o * (1 - u * u) * d_c;
}

// ---- double backward, second half: reverse through the step and its tangent ----

template <class V>
struct CellSecond {
  Gates<V> a;  // l_a
  V p_c;       // what is carried to c of the step before
};

// m_h, m_c: adjoints of the first backward, which are also those of d_h, d_c; l_h: the whole adjoint of h
// from later steps and the head; carried: what later steps carry to c.
template <class V>
MAMRL_FN CellSecond<V> lstm_second(const Gates<V>& y, V p_c, V u, const Gates<V>& d_a, const Gates<V>& d_y, V d_p_c,
                                   V d_c, V m_h, V m_c, V l_h, V carried) {
  const V slope = 1 - u * u;
  const V l_u = m_h * d_y.o - 2 * (m_h * y.o) * u * d_c + l_h * y.o;
  const V l_c = l_u * slope + carried;
  const V l_i = m_c * d_y.g + m_c * y.g * (1 - 2 * y.i) * d_a.i + l_c * y.g;
  const V l_f = m_c * d_p_c + m_c * p_c * (1 - 2 * y.f) * d_a.f + l_c * p_c;
  const V l_g = m_c * d_y.i - 2 * (m_c * y.i) * y.g * d_a.g + l_c * y.i;
  const V l_o = m_h * slope * d_c + m_h * u * (1 - 2 * y.o) * d_a.o + l_h * u;
  return {{l_i * y.i * (1 - y.i), l_f * y.f * (1 - y.f), l_g * (1 - y.g * y.g), l_o * y.o * (1 - y.o)},
          m_c * d_y.f + l_c * y.f};
}

}  // namespace mamrl
