// Indices into the rows of a table.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

// Negative if and only if `index` is outside [0, size): the sign bits of many can be gathered by OR, without a branch.
// In unsigned numbers, where the difference may wrap.
MAMRL_FN int64_t outside(int64_t index, int64_t size) {
  return index | static_cast<int64_t>(static_cast<uint64_t>(size) - 1 - static_cast<uint64_t>(index));
}

}  // namespace mamrl
