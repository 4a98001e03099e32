// Advantages and returns, backwards over time, and their transposes, forwards: a row of the block at a time.
#include "common/columns.h"
#include "common/gae.h"
#include "common/returns.h"
#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {

// Which masks there are is part of a loop's type: one that asks at every number whether there is a mask is not
// vectorised.
template <bool kThere>
MAMRL_FN bool at(const bool* mask, int64_t i) {
  if constexpr (kThere) {
    return reinterpret_cast<const uint8_t*>(mask)[i] != 0;  // as bool, GCC 12 finds no vector type for it
  } else {
    return false;
  }
}

// Calls loop.operator()<whether there are terminations, whether there are truncations>().
template <class Loop>
MAMRL_FN void with_masks(const bool* terminations, const bool* truncations, Loop loop) {
  if (terminations && truncations) {
    loop.template operator()<true, true>();
  } else if (terminations) {
    loop.template operator()<true, false>();
  } else if (truncations) {
    loop.template operator()<false, true>();
  } else {
    loop.template operator()<false, false>();
  }
}

template <bool kTerminations, bool kTruncations, bool kLast, class T>
MAMRL_FN void gae_row(const GaeColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ rewards = op.rewards, * __restrict__ values = op.values, * __restrict__ next_values = op.next_values;
  const T* __restrict__ carried = op.advantages + op.columns;
  T* __restrict__ advantages = op.advantages;
  const bool *terminations = op.terminations, *truncations = op.truncations;
  const T discount = op.discount, discount_lambda = op.discount_lambda;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    advantages[i] =
        gae_step<T>(rewards[i], values[i], next_values[i], kLast ? T(0) : carried[i],
                    at<kTerminations>(terminations, i), at<kTruncations>(truncations, i), discount, discount_lambda);
  }
}

template <class T>
void gae(const GaeColumns<T>& op, int64_t begin, int64_t end) {
  with_masks(op.terminations, op.truncations, [&]<bool kTerminations, bool kTruncations>() {
    for (int64_t t = op.horizon - 1; t >= 0; --t) {
      const int64_t first = t * op.columns + begin, last = t * op.columns + end;
      if (t + 1 == op.horizon) {
        gae_row<kTerminations, kTruncations, true>(op, first, last);
      } else {
        gae_row<kTerminations, kTruncations, false>(op, first, last);
      }
    }
  });
}

template <bool kTerminations, bool kTruncations, bool kFirst, class T>
MAMRL_FN void gae_backward_row(const GaeBackwardColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ grad = op.grad, * __restrict__ before = op.grad_rewards - op.columns;
  T* __restrict__ grad_rewards = op.grad_rewards, * __restrict__ grad_values = op.grad_values;
  T* __restrict__ grad_next = op.grad_next_values ? op.grad_next_values : op.grad_values + op.columns;
  const bool *terminations = op.terminations, *truncations = op.truncations;
  const bool separate = op.grad_next_values;
  const T discount = op.discount, discount_lambda = op.discount_lambda;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    T trace = grad[i];
    if constexpr (!kFirst) {
      const int64_t j = i - op.columns;
      const bool ended_before = at<kTerminations>(terminations, j) | at<kTruncations>(truncations, j);
      trace = gae_trace_step<T>(trace, before[i], ended_before, discount_lambda);
    }
    grad_rewards[i] = trace;
    grad_values[i] = (separate || kFirst ? T(0) : grad_values[i]) - trace;
    grad_next[i] = at<kTerminations>(terminations, i) ? T(0) : discount * trace;
  }
}

template <class T>
void gae_backward(const GaeBackwardColumns<T>& op, int64_t begin, int64_t end) {
  with_masks(op.terminations, op.truncations, [&]<bool kTerminations, bool kTruncations>() {
    for (int64_t t = 0; t < op.horizon; ++t) {
      const int64_t first = t * op.columns + begin, last = t * op.columns + end;
      if (t == 0) {
        gae_backward_row<kTerminations, kTruncations, true>(op, first, last);
      } else {
        gae_backward_row<kTerminations, kTruncations, false>(op, first, last);
      }
    }
  });
}

template <bool kTerminations, bool kTruncations, bool kLast, class T>
MAMRL_FN void returns_row(const ReturnsColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ rewards = op.rewards, * __restrict__ next_values = op.next_values;
  const T* __restrict__ carried = op.returns + op.columns;
  T* __restrict__ returns = op.returns;
  const bool *terminations = op.terminations, *truncations = op.truncations;
  const T discount = op.discount;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    const T bootstrap = (kTruncations || kLast) && next_values ? next_values[i] : T(0);
    returns[i] = return_step<T>(rewards[i], bootstrap, kLast ? bootstrap : carried[i],
                                at<kTerminations>(terminations, i), at<kTruncations>(truncations, i), discount);
  }
}

template <class T>
void returns(const ReturnsColumns<T>& op, int64_t begin, int64_t end) {
  with_masks(op.terminations, op.truncations, [&]<bool kTerminations, bool kTruncations>() {
    for (int64_t t = op.horizon - 1; t >= 0; --t) {
      const int64_t first = t * op.columns + begin, last = t * op.columns + end;
      if (t + 1 == op.horizon) {
        returns_row<kTerminations, kTruncations, true>(op, first, last);
      } else {
        returns_row<kTerminations, kTruncations, false>(op, first, last);
      }
    }
  });
}

template <bool kTerminations, bool kTruncations, bool kFirst, bool kLast, class T>
MAMRL_FN void returns_backward_row(const ReturnsBackwardColumns<T>& op, int64_t begin, int64_t end) {
  const T* __restrict__ grad = op.grad, * __restrict__ before = op.grad_rewards - op.columns;
  T* __restrict__ grad_rewards = op.grad_rewards, * __restrict__ grad_next = op.grad_next_values;
  const bool *terminations = op.terminations, *truncations = op.truncations;
  const T discount = op.discount;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    T trace = grad[i];
    if constexpr (!kFirst) {
      const int64_t j = i - op.columns;
      const bool ended_before = at<kTerminations>(terminations, j) | at<kTruncations>(truncations, j);
      trace = return_trace_step<T>(trace, before[i], ended_before, discount);
    }
    grad_rewards[i] = trace;
    const bool bootstraps = (kLast | at<kTruncations>(truncations, i)) & !at<kTerminations>(terminations, i);
    grad_next[i] = bootstraps ? discount * trace : T(0);
  }
}

template <class T>
void returns_backward(const ReturnsBackwardColumns<T>& op, int64_t begin, int64_t end) {
  with_masks(op.terminations, op.truncations, [&]<bool kTerminations, bool kTruncations>() {
    for (int64_t t = 0; t < op.horizon; ++t) {
      const int64_t first = t * op.columns + begin, last = t * op.columns + end;
      if (t == 0 && op.horizon == 1) {
        returns_backward_row<kTerminations, kTruncations, true, true>(op, first, last);
      } else if (t == 0) {
        returns_backward_row<kTerminations, kTruncations, true, false>(op, first, last);
      } else if (t + 1 == op.horizon) {
        returns_backward_row<kTerminations, kTruncations, false, true>(op, first, last);
      } else {
        returns_backward_row<kTerminations, kTruncations, false, false>(op, first, last);
      }
    }
  });
}

#define MAMRL_INSTANTIATE(T)                                                     \
  template void gae<T>(const GaeColumns<T>&, int64_t, int64_t);                  \
  template void gae_backward<T>(const GaeBackwardColumns<T>&, int64_t, int64_t); \
  template void returns<T>(const ReturnsColumns<T>&, int64_t, int64_t);          \
  template void returns_backward<T>(const ReturnsBackwardColumns<T>&, int64_t, int64_t);
MAMRL_INSTANTIATE(float)
MAMRL_INSTANTIATE(double)

}  // namespace mamrl::MAMRL_SIMD
