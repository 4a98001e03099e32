// The linear baseline at the boundary to torch: checks and allocation, for every device.
#pragma once

#include "common/check.h"

namespace mamrl {

// returns, predictions (T, M, K); observations are states (T, M, K), or vectors (T, M, K, O)
template <class T>
struct LinearBaseline {
  int64_t horizon, chains, trajectories;
  int64_t num_states, size;  // S, or O; the other is 0
  double ridge;
  const int64_t* states;
  const T *observations, *returns;
  T* predictions;
};

template <class Device>
Tensor linear_baseline(const Tensor& observations_, const Tensor& returns_, int64_t num_states, double ridge) {
  const int64_t dims = returns_.dim();
  check_floating("returns", returns_);
  MAMRL_CHECK(dims == 2 || dims == 3, "returns has shape ", shape_text(returns_), ", expected (T, M, K) or (T, K)");
  MAMRL_CHECK(ridge > 0, "ridge is ", ridge, ", expected a positive number");
  const bool indexed = observations_.scalar_type() == ScalarType::Long;
  int64_t size = 0;
  if (indexed) {
    MAMRL_CHECK(num_states >= 1, "num_states is ", num_states, ", expected at least 1");
    check_same_shape("observations", observations_, "returns", returns_);
  } else {
    check_dtype("observations", observations_, returns_.scalar_type(), "returns");
    bool same = observations_.dim() == dims + 1;
    for (int64_t i = 0; i < dims && same; ++i) same = observations_.size(i) == returns_.size(i);
    MAMRL_CHECK(same, "observations has shape ", shape_text(observations_), ", expected one dimension more than the ",
                shape_text(returns_), " of returns");
    size = observations_.size(dims);
  }
  const Tensor observations = row_major(observations_), returns = row_major(returns_);
  const Device device({&returns, &observations});
  if (indexed) device.check_indices("observations", observations, num_states);
  Tensor predictions = new_like(device, returns);
  if (returns.numel() == 0) return predictions;
  dispatch_floating(returns, [&]<class T>() {
    LinearBaseline<T> op = {};
    op.horizon = returns.size(0);
    op.chains = dims == 3 ? returns.size(1) : 1;
    op.trajectories = returns.size(dims - 1);
    op.num_states = indexed ? num_states : 0;
    op.size = size;
    op.ridge = ridge;
    op.states = indexed ? observations.const_data_ptr<int64_t>() : nullptr;
    op.observations = indexed ? nullptr : observations.const_data_ptr<T>();
    op.returns = returns.const_data_ptr<T>();
    op.predictions = predictions.mutable_data_ptr<T>();
    device.run(op, returns);
  });
  return predictions;
}

}  // namespace mamrl
