// Per-chain tables at the boundary to torch: checks and allocation, for every device.
#pragma once

#include "common/check.h"

namespace mamrl {

// out[t, m, k] = table[m, index[t, m, k]]
template <class T>
struct TableLookup {
  int64_t horizon, chains, trajectories, rows;
  const T* table;
  const int64_t* index;
  T* out;
};

// out[m, r] = sum of values[t, m, k] over index[t, m, k] = r
template <class T>
struct TableAccumulate {
  int64_t horizon, chains, trajectories, rows;
  const T* values;
  const int64_t* index;
  T* out;
};

template <class Device>
Tensor table_lookup(const Tensor& table_, const Tensor& index_) {
  check_floating("table", table_);
  MAMRL_CHECK(table_.dim() == 2, "table has shape ", shape_text(table_), ", expected (M, R)");
  MAMRL_CHECK(index_.dim() == 3 && index_.size(1) == table_.size(0), "index has shape ", shape_text(index_),
              ", expected (T, M, K) with M = ", table_.size(0), " as table");
  const int64_t horizon = index_.size(0), chains = index_.size(1), trajectories = index_.size(2), rows = table_.size(1);
  const Tensor table = row_major(table_), index = row_major(index_);
  const Device device({&table, &index});
  device.check_indices("index", index, rows);
  Tensor out = new_tensor(device, table, {horizon, chains, trajectories});
  dispatch_floating(table, [&]<class T>() {
    device.run(TableLookup<T>{horizon, chains, trajectories, rows, table.const_data_ptr<T>(),
                              index.const_data_ptr<int64_t>(), out.mutable_data_ptr<T>()});
  });
  return out;
}

template <class Device>
Tensor table_accumulate(const Tensor& values_, const Tensor& index_, int64_t num_rows) {
  check_floating("values", values_);
  MAMRL_CHECK(values_.dim() == 3, "values has shape ", shape_text(values_), ", expected (T, M, K)");
  check_same_shape("index", index_, "values", values_);
  MAMRL_CHECK(num_rows >= 0, "num_rows is ", num_rows, ", expected at least 0");
  const int64_t horizon = index_.size(0), chains = index_.size(1), trajectories = index_.size(2);
  const Tensor values = row_major(values_), index = row_major(index_);
  const Device device({&values, &index});
  device.check_indices("index", index, num_rows);
  Tensor out = new_tensor(device, values, {chains, num_rows});
  dispatch_floating(values, [&]<class T>() {
    device.run(TableAccumulate<T>{horizon, chains, trajectories, num_rows, values.const_data_ptr<T>(),
                                  index.const_data_ptr<int64_t>(), out.mutable_data_ptr<T>()});
  });
  return out;
}

}  // namespace mamrl
