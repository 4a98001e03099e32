// What the GRU's backward and double backward share.
#pragma once

#include "cpu/simd/gru_step.h"
#include "cpu/simd/recurrent_reverse.h"

namespace mamrl::MAMRL_SIMD {

// Rows of r, z and q side by side, through which an adjoint goes back to the step before, and n's at `last`.
template <class T>
MAMRL_FN void store_changes(T* row, int64_t padded, int64_t last, const GruChanges<Vec<T>>& a) {
  store(row, a.r);
  store(row + padded, a.z);
  store(row + 2 * padded, a.q);
  store(row + last, a.n);
}

// of rows with n's behind the others
template <class T>
MAMRL_FN GruChanges<Vec<T>> load_changes(const T* row, int64_t padded) {
  return {load(row), load(row + padded), load(row + 2 * padded), load(row + 3 * padded)};
}

// to (P) += the sum of `count` rows
template <class T>
static void add_sum(T* to, const T* rows, int64_t stride, int64_t count, int64_t padded) {
  const T one = 1;
  add_product(to, padded, &one, 0, 0, rows, stride, 1, count, padded);
}

}  // namespace mamrl::MAMRL_SIMD
