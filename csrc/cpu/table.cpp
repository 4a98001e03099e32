// Reads the rows of per-chain tables, and the transpose, which sums into them.
#include "common/table.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "common/check.h"
#include "cpu/columns.h"
#include "cpu/indices.h"

namespace mamrl {
namespace {

Tensor table_lookup(const Tensor& table_, const Tensor& index_) {
  const Tensor table = row_major(table_), index = row_major(index_);
  check_floating("table", table);
  MAMRL_CHECK(table.dim() == 2, "table has shape ", shape_text(table), ", expected (M, R)");
  MAMRL_CHECK(index.dim() == 3 && index.size(1) == table.size(0), "index has shape ", shape_text(index),
              ", expected (T, M, K) with M = ", table.size(0), " as table");
  const int64_t horizon = index.size(0), chains = index.size(1), trajectories = index.size(2), rows = table.size(1);
  check_indices("index", index, rows);
  Tensor out = empty_row_major(table, {horizon, chains, trajectories});
  dispatch_floating(table, [&]<class T>() {
    const T* from = table.const_data_ptr<T>();
    const int64_t* at = index.const_data_ptr<int64_t>();
    T* to = out.mutable_data_ptr<T>();
    for_column_blocks(trajectories, horizon * chains, 1, [&](int64_t begin, int64_t end) {
      for (int64_t tm = begin; tm < end; ++tm) {
        const T* chain = from + tm % chains * rows;
        for (int64_t i = tm * trajectories; i < (tm + 1) * trajectories; ++i) to[i] = chain[at[i]];
      }
    });
  });
  return out;
}

Tensor table_accumulate(const Tensor& values_, const Tensor& index_, int64_t num_rows) {
  const Tensor values = row_major(values_), index = row_major(index_);
  check_floating("values", values);
  MAMRL_CHECK(values.dim() == 3, "values has shape ", shape_text(values), ", expected (T, M, K)");
  check_same_shape("index", index, "values", values);
  MAMRL_CHECK(num_rows >= 0, "num_rows is ", num_rows, ", expected at least 0");
  check_indices("index", index, num_rows);
  const int64_t horizon = index.size(0), chains = index.size(1), trajectories = index.size(2);
  Tensor out = empty_row_major(values, {chains, num_rows});
  dispatch_floating(values, [&]<class T>() {
    const T* from = values.const_data_ptr<T>();
    const int64_t* at = index.const_data_ptr<int64_t>();
    T* to = out.mutable_data_ptr<T>();
    for_column_blocks(horizon * trajectories, chains, 1, [&](int64_t begin, int64_t end) {
      // thousands of values can meet in one row: their sum runs in double
      std::vector<double> sums(num_rows);
      for (int64_t m = begin; m < end; ++m) {
        std::fill(sums.begin(), sums.end(), 0.0);
        for (int64_t t = 0; t < horizon; ++t) {
          const int64_t first = (t * chains + m) * trajectories;
          for (int64_t i = first; i < first + trajectories; ++i) sums[at[i]] += double(from[i]);
        }
        for (int64_t row = 0; row < num_rows; ++row) to[m * num_rows + row] = T(sums[row]);
      }
    });
  });
  return out;
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("table_lookup", TORCH_BOX(&mamrl::table_lookup));
  m.impl("table_accumulate", TORCH_BOX(&mamrl::table_accumulate));
}
