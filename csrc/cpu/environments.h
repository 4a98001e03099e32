// What the games as environments ask of their arguments before, and tell of them after, a kernel runs.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "common/check.h"
#include "common/matrix_game.h"
#include "common/table.h"

namespace mamrl {

constexpr int64_t kLongestEpisode = (int64_t{1} << 31) - 2;

inline Autoreset autoreset_named(const std::string& name) {
  if (name == "next-step") return Autoreset::kNextStep;
  if (name == "same-step") return Autoreset::kSameStep;
  MAMRL_CHECK(name == "disabled", "autoreset is '", name, "', expected 'next-step', 'same-step' or 'disabled'");
  return Autoreset::kDisabled;
}

inline void check_index_dtype(const char* name, const Tensor& t) {
  MAMRL_CHECK_TYPE(t.scalar_type() == ScalarType::Long || t.scalar_type() == ScalarType::Byte, name, " is ",
                   dtype_text(t.scalar_type()), ", expected torch.int64 or torch.uint8");
}

// Calls f<Index>() by the dtype of a checked tensor of indices.
template <class F>
auto dispatch_index(const Tensor& t, F&& f) {
  return t.scalar_type() == ScalarType::Byte ? f.template operator()<uint8_t>() : f.template operator()<int64_t>();
}

template <class Index>
int64_t first_outside(const Index* values, int64_t count, int64_t size) {
  int64_t signs = 0;
  for (int64_t i = 0; i < count; ++i) signs |= outside(values[i], size);
  if (signs >= 0) return count;
  int64_t first = 0;
  while (outside(values[first], size) >= 0) ++first;
  return first;
}

inline void check_elapsed(const Tensor& elapsed, int64_t horizon, int64_t length, int64_t most, Autoreset autoreset) {
  const int32_t* counts = elapsed.const_data_ptr<int32_t>();
  for (int64_t env = 0; env < elapsed.numel(); ++env) {
    if (counts[env] >= 0 && counts[env] <= most) continue;
    MAMRL_CHECK(autoreset == Autoreset::kDisabled && counts[env] >= 0 && counts[env] <= length, "elapsed holds ",
                counts[env], ", expected 0 to ", most);
    MAMRL_CHECK(false, "environment ", env, " has played ", counts[env], " of the ", length,
                " steps of its episode, so it cannot play ", horizon,
                " more: reset it first, or choose another autoreset than 'disabled'");
  }
}

inline void check_output(const char* name, const Tensor& t, ScalarType dtype, std::initializer_list<int64_t> shape) {
  check_dtype(name, t, dtype, "the results");
  check_shape(name, t, shape);
  MAMRL_CHECK(t.is_contiguous(), name, " is not row-major, expected memory that can be written in order");
}

}  // namespace mamrl
