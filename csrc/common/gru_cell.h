// One step of a GRU cell and its first and second derivatives. V is a number, or a register of numbers.
//
// Gates are in torch's order: reset r, update z, new n. a is a pre-activation, q = W_n h' + b_n what the reset gate
// multiplies, h the hidden state. Prefixes are those of common/lstm_cell.h: p_ marks the value of the step before, d_ a
// derivative along a direction (tangent), m_ an adjoint of the first backward pass, l_ an adjoint of the second.
//
// A derivative that passes between h' and the step is multiplied by `carry` in both passes, adjoints and tangents
// alike.
#pragma once

#include "common/host_device.h"

namespace mamrl {

// what a step keeps of a unit
template <class V>
struct GruStep {
  V r, z, n, q;
};

// Of a step's pre-activations: of r and z, of q, and, last, that of n. Their tangents, or their adjoints.
template <class V>
struct GruChanges {
  V r, z, q, n;
};

// h = n + z (h' - n)
template <class V>
MAMRL_FN V gru_hidden(V z, V n, V p_h) {
  return n + z * (p_h - n);
}

// ---- backward: m_h is the whole adjoint of h; carry z m_h goes to h' beside what goes through the pre-activations
// ----

template <class V>
MAMRL_FN GruChanges<V> gru_adjoints(const GruStep<V>& y, V p_h, V m_h) {
  const V m_n = m_h * (1 - y.z) * (1 - y.n * y.n);
  return {m_n * y.q * y.r * (1 - y.r), m_h * (p_h - y.n) * y.z * (1 - y.z), m_n * y.r, m_n};
}

// ---- double backward, first half: the step's derivative; d_x_n is the direction of n's gate input ----

template <class V>
MAMRL_FN V gru_new_tangent(const GruStep<V>& y, V d_r, V d_q, V d_x_n) {
  return d_x_n + y.r * (1 - y.r) * d_r * y.q + y.r * d_q;
}

template <class V>
MAMRL_FN V gru_hidden_tangent(const GruStep<V>& y, const GruChanges<V>& d, V p_h, V d_p_h) {
  return (1 - y.z) * (1 - y.n * y.n) * d.n + y.z * (1 - y.z) * d.z * (p_h - y.n) + y.z * d_p_h;
}

// ---- double backward, second half: reverse through the step and its tangent ----

template <class V>
struct GruSecond {
  GruChanges<V> a;  // l_a
  V p_h;            // what goes to h' beside what goes through the pre-activations
};

// m_h: the adjoint of h in the first backward, which is also that of d_h; l_h: the whole adjoint of h
template <class V>
MAMRL_FN GruSecond<V> gru_second(const GruStep<V>& y, const GruChanges<V>& d, V p_h, V d_p_h, V m_h, V l_h) {
  const V slope_r = y.r * (1 - y.r), slope_z = y.z * (1 - y.z), slope_n = 1 - y.n * y.n;
  const V d_r = slope_r * d.r, d_z = slope_z * d.z, d_n = slope_n * d.n;
  const V m_n = m_h * (1 - y.z), m_a_n = m_n * slope_n;
  const V l_n = l_h * (1 - y.z) - m_h * d_z - 2 * (m_n * y.n) * d.n;
  const V l_a_n = l_n * slope_n;
  const V l_r = m_a_n * (d.q + y.q * (1 - 2 * y.r) * d.r) + l_a_n * y.q;
  const V l_z = m_h * (d_p_h - d_n + (p_h - y.n) * (1 - 2 * y.z) * d.z) + l_h * (p_h - y.n);
  return {{l_r * slope_r, l_z * slope_z, m_a_n * d_r + l_a_n * y.r, l_a_n}, m_h * d_z + l_h * y.z};
}

}  // namespace mamrl
