// Checks at the boundary between torch and the kernels: one condition, one plain sentence.
//
// The typed Python wrappers in python/mamrl/ops/ check first and raise ValueError or TypeError; these hold for callers
// of torch.ops.mamrl.* itself, so that no kernel ever reads past a tensor. Check everything before a parallel loop: an
// error thrown inside parallel_for loses its message.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <initializer_list>
#include <optional>
#include <string>

namespace mamrl {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

#define MAMRL_CHECK(cond, ...) STD_TORCH_CHECK(cond, "mamrl: ", ##__VA_ARGS__)

inline std::string shape_text(const Tensor& t) {
  std::string text = "(";
  for (int64_t i = 0; i < t.dim(); ++i) text += (i ? ", " : "") + std::to_string(t.size(i));
  return text + ")";
}

inline void check_dtype(const char* name, const Tensor& t, ScalarType expected) {
  MAMRL_CHECK(t.scalar_type() == expected, name, " must have the dtype of the other arguments");
}

inline void check_floating(const char* name, const Tensor& t) {
  MAMRL_CHECK(t.scalar_type() == ScalarType::Float || t.scalar_type() == ScalarType::Double, name,
              " must be float32 or float64");
}

inline void check_shape(const char* name, const Tensor& t, std::initializer_list<int64_t> expected) {
  bool same = t.dim() == static_cast<int64_t>(expected.size());
  std::string text = "(";
  int64_t i = 0;
  for (int64_t size : expected) {
    same = same && t.size(i) == size;
    text += (i++ ? ", " : "") + std::to_string(size);
  }
  MAMRL_CHECK(same, name, " has shape ", shape_text(t), ", expected ", text + ")");
}

inline bool same_shape(const Tensor& a, const Tensor& b, int64_t first_dim = 0) {
  if (a.dim() != b.dim()) return false;
  for (int64_t i = first_dim; i < a.dim(); ++i)
    if (a.size(i) != b.size(i)) return false;
  return true;
}

inline void check_same_shape(const char* name, const Tensor& t, const Tensor& like) {
  MAMRL_CHECK(same_shape(t, like), name, " has shape ", shape_text(t), ", expected ", shape_text(like));
}

// A mask of episodes' ends: absent, or boolean in the shape of what it masks.
inline void check_mask(const char* name, const std::optional<Tensor>& mask, const Tensor& like) {
  if (!mask) return;
  MAMRL_CHECK(mask->scalar_type() == ScalarType::Bool, name, " must be boolean");
  check_same_shape(name, *mask, like);
}

// Kernels read plain row-major memory.
// Asking first spares a call through the dispatcher, which is not free.
inline Tensor row_major(const Tensor& t) { return t.is_contiguous() ? t : torch::stable::contiguous(t); }

inline std::optional<Tensor> row_major(const std::optional<Tensor>& t) {
  return t ? std::optional<Tensor>(row_major(*t)) : std::nullopt;
}

template <class T>
const T* data_or_null(const std::optional<Tensor>& t) {
  return t ? t->const_data_ptr<T>() : nullptr;
}

// Calls f<float>() or f<double>() by the dtype of a checked floating tensor.
template <class F>
auto dispatch_floating(const Tensor& t, F&& f) {
  return t.scalar_type() == ScalarType::Double ? f.template operator()<double>() : f.template operator()<float>();
}

}  // namespace mamrl
