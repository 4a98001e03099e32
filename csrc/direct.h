// Calls from Python straight to an op's CPU function, past torch's dispatcher, whose parsing, guards and boxing take
// longer than a small kernel.
//
// A direct function gives what the dispatcher would have given, or NotImplemented: where something between Python and
// the kernel may have an interest in the call (a gradient, a mode, a transform, a trace, a profiler, a subclass), where
// an argument is not plain, and after any error, which the dispatcher's way finds again and tells.
//
// What is relied on of torch, beyond its stable ABI: that the questions of find_torch() (direct.cpp) name all that can
// have an interest, and that a tensor's handle passes through torch._C._aoti. Where a name is missing there are no
// direct functions. MAMRL_DIRECT_CALLS=0 in the environment turns them off (python/mamrl/ops/_call.py).
#pragma once

#include <Python.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace mamrl::direct {

using torch::stable::Tensor;
using FastFunction = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t);

// Makes `function` an attribute of the module when it is imported.
void add(const char* name, FastFunction function);
// Adds them to the module; nothing where this torch lacks what a call needs. False with a Python error set.
bool add_functions(PyObject* module);

// Whether nothing stands between Python and the kernels at this moment; `grad_enabled` is set if so.
bool nothing_between(bool& grad_enabled);
// A new handle of a plain tensor, or null: an exact torch.Tensor in CPU memory, which no gradient is asked of.
AtenTensorHandle plain_handle(PyObject* object, bool grad_enabled);
PyObject* to_python(const Tensor& tensor);

inline bool read(PyObject* object, bool grad_enabled, std::optional<Tensor>& value) {
  AtenTensorHandle handle = plain_handle(object, grad_enabled);
  if (!handle) return false;
  value.emplace(handle);
  return true;
}

inline bool read(PyObject* object, bool grad_enabled, std::optional<std::optional<Tensor>>& value) {
  value.emplace();
  return object == Py_None || read(object, grad_enabled, *value);
}

inline bool read(PyObject* object, bool, std::optional<double>& value) {
  if (!PyFloat_CheckExact(object) && !PyLong_CheckExact(object)) return false;
  value = PyFloat_AsDouble(object);
  return !PyErr_Occurred();
}

inline bool read(PyObject* object, bool, std::optional<int64_t>& value) {
  if (!PyLong_CheckExact(object)) return false;
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(object, &overflow);
  return !overflow;
}

inline bool read(PyObject* object, bool, std::optional<bool>& value) {
  value = object == Py_True;
  return *value || object == Py_False;
}

inline bool read(PyObject* object, bool, std::optional<std::string>& value) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_CheckExact(object) ? PyUnicode_AsUTF8AndSize(object, &size) : nullptr;
  if (text) value.emplace(text, size);
  return text;
}

inline bool read(PyObject* object, bool, std::optional<std::vector<int64_t>>& value) {
  if (!PyList_CheckExact(object)) return false;
  value.emplace();
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(object); ++i) {
    std::optional<int64_t> item;
    if (!read(PyList_GET_ITEM(object, i), false, item)) return false;
    value->push_back(*item);
  }
  return true;
}

template <class... Tensors>
PyObject* to_python(const std::tuple<Tensors...>& tensors) {
  PyObject* result = PyTuple_New(sizeof...(Tensors));
  if (!result) return nullptr;
  bool whole = true;
  Py_ssize_t position = 0;
  const auto add = [&](const Tensor& tensor) {
    PyObject* item = to_python(tensor);
    whole = whole && item;
    PyTuple_SET_ITEM(result, position++, item);
  };
  std::apply([&](const auto&... each) { (add(each), ...); }, tensors);
  if (whole) return result;
  Py_DECREF(result);
  return nullptr;
}

// other threads of Python run meanwhile
struct WithoutLock {
  PyThreadState* state = PyEval_SaveThread();
  ~WithoutLock() { PyEval_RestoreThread(state); }
};

template <class Result, class... Arguments, size_t... I>
PyObject* run(Result (*op)(Arguments...), PyObject* const* given, std::index_sequence<I...>) {
  bool grad_enabled = false;
  std::tuple<std::optional<std::remove_cvref_t<Arguments>>...> values;
  if (!nothing_between(grad_enabled) || !(read(given[I], grad_enabled, std::get<I>(values)) && ...)) return nullptr;
  const auto call = [&]() -> Result {
    const WithoutLock unlocked;
    return op(std::forward<Arguments>(*std::get<I>(values))...);
  };
  if constexpr (std::is_void_v<Result>) {
    call();
    return Py_NewRef(Py_None);
  } else {
    return to_python(call());
  }
}

template <class Result, class... Arguments>
PyObject* run_or_decline(Result (*op)(Arguments...), PyObject* const* given, Py_ssize_t count) noexcept {
  PyObject* result = nullptr;
  if (count == sizeof...(Arguments)) {
    try {
      result = run(op, given, std::index_sequence_for<Arguments...>());
    } catch (...) {
      result = nullptr;
    }
  }
  if (result) return result;
  PyErr_Clear();
  return Py_NewRef(Py_NotImplemented);
}

template <auto Op>
PyObject* function(PyObject*, PyObject* const* given, Py_ssize_t count) {
  return run_or_decline(Op, given, count);
}

}  // namespace mamrl::direct

// Registers an op's CPU function with the dispatcher and as a direct function.
#define MAMRL_CPU_OP(library, name, ...)        \
  library.impl(#name, TORCH_BOX(&__VA_ARGS__)); \
  mamrl::direct::add(#name, &mamrl::direct::function<&__VA_ARGS__>)
