// Advantages and returns, backwards over time, and their transposes, forwards: a row of the block at a time.
#include "common/columns.h"
#include "common/gae.h"
#include "common/returns.h"
#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {

MAMRL_FN bool at(const bool* mask, int64_t i) { return mask && mask[i]; }

// kEnds and kLast spare what most rows do not need; the compiler makes a loop for each.
template <bool kEnds, bool kLast, class T>
MAMRL_FN void gae_row(const GaeColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ rewards = op.rewards, * __restrict__ values = op.values, * __restrict__ next_values = op.next_values;
  const T* __restrict__ carried = op.advantages + op.columns;
  T* __restrict__ advantages = op.advantages;
  const T discount = op.discount, discount_lambda = op.discount_lambda;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    advantages[i] =
        gae_step<T>(rewards[i], values[i], next_values[i], kLast ? T(0) : carried[i], kEnds && at(op.terminations, i),
                    kEnds && at(op.truncations, i), discount, discount_lambda);
  }
}

template <class T>
void gae(const GaeColumns<T>& op, int64_t begin, int64_t end) {
  const bool ends = op.terminations || op.truncations;
  for (int64_t t = op.horizon - 1; t >= 0; --t) {
    const int64_t first = t * op.columns + begin, last = t * op.columns + end;
    if (t + 1 == op.horizon) {
      gae_row<true, true>(op, first, last);
    } else if (ends) {
      gae_row<true, false>(op, first, last);
    } else {
      gae_row<false, false>(op, first, last);
    }
  }
}

template <bool kEnds, bool kFirst, class T>
MAMRL_FN void gae_backward_row(const GaeBackwardColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ grad = op.grad, * __restrict__ before = op.grad_rewards - op.columns;
  T* __restrict__ grad_rewards = op.grad_rewards, * __restrict__ grad_values = op.grad_values;
  T* __restrict__ grad_next = op.grad_next_values ? op.grad_next_values : op.grad_values + op.columns;
  const bool *terminations = op.terminations, *truncations = op.truncations;
  const bool separate = op.grad_next_values;
  const T discount = op.discount, discount_lambda = op.discount_lambda;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    const bool ended_before = kEnds && !kFirst && (at(terminations, i - op.columns) || at(truncations, i - op.columns));
    const T trace = kFirst ? grad[i] : gae_trace_step<T>(grad[i], before[i], ended_before, discount_lambda);
    grad_rewards[i] = trace;
    grad_values[i] = (separate || kFirst ? T(0) : grad_values[i]) - trace;
    grad_next[i] = kEnds && at(terminations, i) ? T(0) : discount * trace;
  }
}

template <class T>
void gae_backward(const GaeBackwardColumns<T>& op, int64_t begin, int64_t end) {
  const bool ends = op.terminations || op.truncations;
  for (int64_t t = 0; t < op.horizon; ++t) {
    const int64_t first = t * op.columns + begin, last = t * op.columns + end;
    if (t == 0) {
      gae_backward_row<true, true>(op, first, last);
    } else if (ends) {
      gae_backward_row<true, false>(op, first, last);
    } else {
      gae_backward_row<false, false>(op, first, last);
    }
  }
}

template <bool kEnds, bool kLast, class T>
MAMRL_FN void returns_row(const ReturnsColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ rewards = op.rewards, * __restrict__ next_values = op.next_values;
  const T* __restrict__ carried = op.returns + op.columns;
  T* __restrict__ returns = op.returns;
  const bool *terminations = op.terminations, *truncations = op.truncations;
  const T discount = op.discount;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    const T bootstrap = (kEnds || kLast) && next_values ? next_values[i] : T(0);
    returns[i] = return_step<T>(rewards[i], bootstrap, kLast ? bootstrap : carried[i], kEnds && at(terminations, i),
                                kEnds && at(truncations, i), discount);
  }
}

template <class T>
void returns(const ReturnsColumns<T>& op, int64_t begin, int64_t end) {
  const bool ends = op.terminations || op.truncations;
  for (int64_t t = op.horizon - 1; t >= 0; --t) {
    const int64_t first = t * op.columns + begin, last = t * op.columns + end;
    if (t + 1 == op.horizon) {
      returns_row<true, true>(op, first, last);
    } else if (ends) {
      returns_row<true, false>(op, first, last);
    } else {
      returns_row<false, false>(op, first, last);
    }
  }
}

template <class T>
void returns_backward(const ReturnsBackwardColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ grad = op.grad;
  T* __restrict__ grad_rewards = op.grad_rewards, * __restrict__ grad_next = op.grad_next_values;
  const bool *terminations = op.terminations, *truncations = op.truncations;
  for (int64_t t = 0; t < op.horizon; ++t) {
    const bool last = t + 1 == op.horizon;
    const T* __restrict__ before = op.grad_rewards - op.columns;
#pragma GCC ivdep
    for (int64_t i = t * op.columns + begin; i < t * op.columns + end; ++i) {
      const int64_t j = i - op.columns;
      const T trace =
          t ? return_trace_step<T>(grad[i], before[i], at(terminations, j) || at(truncations, j), op.discount)
            : grad[i];
      grad_rewards[i] = trace;
      grad_next[i] = (last || at(truncations, i)) && !at(terminations, i) ? op.discount * trace : T(0);
    }
  }
}

#define MAMRL_INSTANTIATE(T)                                                     \
  template void gae<T>(const GaeColumns<T>&, int64_t, int64_t);                  \
  template void gae_backward<T>(const GaeBackwardColumns<T>&, int64_t, int64_t); \
  template void returns<T>(const ReturnsColumns<T>&, int64_t, int64_t);          \
  template void returns_backward<T>(const ReturnsBackwardColumns<T>&, int64_t, int64_t);
MAMRL_INSTANTIATE(float)
MAMRL_INSTANTIATE(double)

}  // namespace mamrl::MAMRL_SIMD
