// Recursions over time run down the columns of a row-major (T, columns) array, a thread a column.
#pragma once

#include "cuda/launch.h"

namespace mamrl {

// Rows that a thread asks for at a time: a column alone would wait for memory at every row.
constexpr int kRowsAhead = 8;

// The row that a walk backwards from `end` reads as number r; row 0 again where there is none.
__device__ inline int64_t row_before(int64_t end, int r) { return end - 1 - r > 0 ? end - 1 - r : 0; }

// The row that a walk forwards from `begin` reads as number r; the last row again where there is none.
__device__ inline int64_t row_after(int64_t begin, int r, int64_t rows) {
  return begin + r < rows ? begin + r : rows - 1;
}

__device__ inline bool at(const bool* mask, int64_t i) { return mask && mask[i]; }

}  // namespace mamrl
