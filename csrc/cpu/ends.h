// Where episodes end inside a batch of trajectories: two optional masks, one byte a step.
#pragma once

#include <optional>

#include "common/check.h"

namespace mamrl {

struct Ends {
  const bool* terminations;
  const bool* truncations;

  Ends(const std::optional<Tensor>& terminated, const std::optional<Tensor>& truncated)
      : terminations(data_or_null<bool>(terminated)), truncations(data_or_null<bool>(truncated)) {}

  bool terminated(int64_t i) const { return terminations && terminations[i]; }
  bool truncated(int64_t i) const { return truncations && truncations[i]; }
  bool ended(int64_t i) const { return terminated(i) || truncated(i); }
};

}  // namespace mamrl
