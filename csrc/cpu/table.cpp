// Reads the rows of per-chain tables, and the transpose, which sums into them.
#include "ops/table.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "cpu/columns.h"
#include "cpu/device.h"
#include "direct.h"

namespace mamrl {
namespace {

struct Device : Cpu {
  using Cpu::Cpu;

  template <class T>
  void run(const TableLookup<T>& op) const {
    for_column_blocks(op.trajectories, op.horizon * op.chains, 1, [&](int64_t begin, int64_t end) {
      for (int64_t tm = begin; tm < end; ++tm) {
        const T* chain = op.table + tm % op.chains * op.rows;
        for (int64_t i = tm * op.trajectories; i < (tm + 1) * op.trajectories; ++i) op.out[i] = chain[op.index[i]];
      }
    });
  }

  template <class T>
  void run(const TableAccumulate<T>& op) const {
    for_column_blocks(op.horizon * op.trajectories, op.chains, 1, [&](int64_t begin, int64_t end) {
      // thousands of values can meet in one row: their sum runs in double
      std::vector<double> sums(op.rows);
      for (int64_t m = begin; m < end; ++m) {
        std::fill(sums.begin(), sums.end(), 0.0);
        for (int64_t t = 0; t < op.horizon; ++t) {
          const int64_t first = (t * op.chains + m) * op.trajectories;
          for (int64_t i = first; i < first + op.trajectories; ++i) sums[op.index[i]] += double(op.values[i]);
        }
        for (int64_t row = 0; row < op.rows; ++row) op.out[m * op.rows + row] = T(sums[row]);
      }
    });
  }
};

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  MAMRL_CPU_OP(m, table_lookup, mamrl::table_lookup<mamrl::Device>);
  MAMRL_CPU_OP(m, table_accumulate, mamrl::table_accumulate<mamrl::Device>);
}
