// Checks at the boundary between torch and the kernels: one condition, one plain sentence.
//
// They hold for every caller, of torch.ops.mamrl.* too, so that no kernel ever reads past a tensor; the wrappers in
// python/mamrl/ops/ turn them into ValueError and TypeError. Check everything before a parallel loop: an error thrown
// inside parallel_for loses its message.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace mamrl {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

#define MAMRL_CHECK(cond, ...) STD_TORCH_CHECK(cond, "mamrl: ", ##__VA_ARGS__)
#define MAMRL_CHECK_TYPE(cond, ...) MAMRL_CHECK(cond, "TypeError: ", ##__VA_ARGS__)

inline std::string shape_text(const Tensor& t) {
  std::string text = "(";
  for (int64_t i = 0; i < t.dim(); ++i) text += (i ? ", " : "") + std::to_string(t.size(i));
  return text + (t.dim() == 1 ? ",)" : ")");
}

inline std::string dtype_text(ScalarType type) {
  switch (type) {
    case ScalarType::Float:
      return "torch.float32";
    case ScalarType::Double:
      return "torch.float64";
    case ScalarType::Half:
      return "torch.float16";
    case ScalarType::Long:
      return "torch.int64";
    case ScalarType::Int:
      return "torch.int32";
    case ScalarType::Byte:
      return "torch.uint8";
    case ScalarType::Bool:
      return "torch.bool";
    default:
      return torch::headeronly::toString(type);
  }
}

inline void check_dtype(const char* name, const Tensor& t, ScalarType expected,
                        const char* as = "the other arguments") {
  MAMRL_CHECK_TYPE(t.scalar_type() == expected, name, " is ", dtype_text(t.scalar_type()), ", expected ",
                   dtype_text(expected), " as ", as);
}

inline void check_floating(const char* name, const Tensor& t) {
  MAMRL_CHECK_TYPE(t.scalar_type() == ScalarType::Float || t.scalar_type() == ScalarType::Double, name, " is ",
                   dtype_text(t.scalar_type()), ", expected torch.float32 or torch.float64");
}

inline void check_shape(const char* name, const Tensor& t, std::initializer_list<int64_t> expected) {
  bool same = t.dim() == static_cast<int64_t>(expected.size());
  int64_t i = 0;
  for (int64_t size : expected) same = same && t.size(i++) == size;
  if (same) return;
  std::string text;
  for (int64_t size : expected) text += (text.empty() ? "(" : ", ") + std::to_string(size);
  MAMRL_CHECK(false, name, " has shape ", shape_text(t), ", expected ", text.empty() ? "(" : text, ")");
}

inline bool same_shape(const Tensor& a, const Tensor& b, int64_t first_dim = 0) {
  if (a.dim() != b.dim()) return false;
  for (int64_t i = first_dim; i < a.dim(); ++i)
    if (a.size(i) != b.size(i)) return false;
  return true;
}

inline void check_same_shape(const char* name, const Tensor& t, const char* like_name, const Tensor& like) {
  MAMRL_CHECK(same_shape(t, like), name, " has shape ", shape_text(t), ", expected ", shape_text(like), " as ",
              like_name);
}

// of another tensor's dtype and shape
inline void check_like(const char* name, const Tensor& t, const char* like_name, const Tensor& like) {
  check_dtype(name, t, like.scalar_type(), like_name);
  check_same_shape(name, t, like_name, like);
}

inline void check_has_time(const char* name, const Tensor& t) {
  MAMRL_CHECK(t.dim() >= 1, name, " has no dimension, expected time as the first");
}

// a mask of episodes' ends: absent, or boolean in the shape of what it masks
inline void check_mask(const char* name, const std::optional<Tensor>& mask, const char* like_name, const Tensor& like) {
  if (!mask) return;
  MAMRL_CHECK_TYPE(mask->scalar_type() == ScalarType::Bool, name, " is ", dtype_text(mask->scalar_type()),
                   ", expected torch.bool");
  check_same_shape(name, *mask, like_name, like);
}

inline void check_fraction(const char* name, double value) {
  MAMRL_CHECK(value >= 0 && value <= 1, name, " is ", value, ", expected a number in [0, 1]");
}

// An uninitialised row-major tensor of another's dtype and device, by the shortest way: torch::stable::new_empty looks
// the operator up by name, which takes as long as a small kernel.
inline Tensor empty_row_major(const Tensor& like, const int64_t* sizes, int64_t dims) {
  int64_t strides[64];
  for (int64_t i = dims - 1, stride = 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= sizes[i] > 1 ? sizes[i] : 1;
  }
  int32_t dtype = 0, device_type = 0;
  AtenTensorHandle made = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(like.get(), &dtype));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device_type));
  TORCH_ERROR_CODE_CHECK(
      aoti_torch_empty_strided(dims, sizes, strides, dtype, device_type, like.get_device_index(), &made));
  return Tensor(made);
}

// The same for a result, in memory that the device chooses.
template <class Device>
Tensor new_tensor(const Device& device, const Tensor& like, const std::vector<int64_t>& sizes) {
  return device.allocate(like, sizes.data(), static_cast<int64_t>(sizes.size()));
}

// of the same shape, or of that with another first size
template <class Device>
Tensor new_like(const Device& device, const Tensor& like, std::optional<int64_t> first_size = std::nullopt) {
  int64_t sizes[64];
  for (int64_t i = 0; i < like.dim(); ++i) sizes[i] = like.size(i);
  if (first_size) sizes[0] = *first_size;
  return device.allocate(like, sizes, like.dim());
}

// Kernels read plain row-major memory. Asking first spares a call through the dispatcher, which is not free.
inline Tensor row_major(const Tensor& t) { return t.is_contiguous() ? t : torch::stable::contiguous(t); }

inline std::optional<Tensor> row_major(const std::optional<Tensor>& t) {
  return t ? std::optional<Tensor>(row_major(*t)) : std::nullopt;
}

inline const Tensor* pointer(const std::optional<Tensor>& t) { return t ? &*t : nullptr; }

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
