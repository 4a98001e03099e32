// Recursions over time run down the columns of a row-major (T, columns) array: blocks of columns in parallel, each
// block's rows vectorised. Blocks have a fixed width, so that no result depends on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/parallel.h"

namespace mamrl {

// a row of a block stays in L1 while time runs, and spans a page of float32, so that few pages are open at once
constexpr int64_t kColumnBlock = 1024;
// elements below which a second thread costs more than it brings
constexpr int64_t kParallelElements = 1 << 16;

// Calls f(begin, end) for each block of columns.
template <class F>
void for_column_blocks(int64_t rows, int64_t columns, int64_t width, F&& f) {
  const int64_t blocks = (columns + width - 1) / width;
  const int64_t grain = std::max<int64_t>(1, kParallelElements / std::max<int64_t>(1, rows * width));
  auto run = [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) f(block * width, std::min(columns, (block + 1) * width));
  };
  if (blocks <= grain) {
    run(0, blocks);
  } else {
    parallel_for(0, blocks, grain, run);
  }
}

// Runs a kernel of cpu/simd.h on all of its columns.
template <class Op, class Kernel>
void for_column_blocks(const Op& op, int64_t width, Kernel kernel) {
  for_column_blocks(op.horizon, op.columns, width, [&](int64_t begin, int64_t end) { kernel(op, begin, end); });
}

}  // namespace mamrl
