#include "direct.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <vector>

namespace mamrl::direct {
namespace {

std::vector<PyMethodDef>& methods() {
  static std::vector<PyMethodDef> all;
  return all;
}

// What is asked of torch at every call. Objects live as long as the process.
struct Torch {
  PyTypeObject* tensor;
  PyObject *to_handle, *from_handle;
  PyObject *grad_enabled, *transform, *dispatch_modes, *function_modes, *trace, *profiler;
  PyObject* forward_mode;  // the module that holds the level of forward-mode differentiation
  PyObject *requires_grad, *is_neg, *current_level;
  PyObject *zero, *minus_one;
  bool handle_is_copied;  // from_handle, whose name says that it steals, leaves the handle to its caller
};
Torch torch_api;

bool set(PyObject*& target, const char* module_name, const char* attribute) {
  PyObject* module = PyImport_ImportModule(module_name);
  if (!module) return false;
  target = PyObject_GetAttrString(module, attribute);
  Py_DECREF(module);
  return target;
}

bool number(PyObject* object, const char* method, long& value) {
  PyObject* result = PyObject_CallMethod(object, method, nullptr);
  if (!result) return false;
  value = PyLong_AsLong(result);
  Py_DECREF(result);
  return true;
}

// asks a tensor how many hold it
bool find_whether_handle_is_copied(bool& copied) {
  PyObject* module = PyImport_ImportModule("torch");
  PyObject* probe = module ? PyObject_CallMethod(module, "empty", "i", 0) : nullptr;
  PyObject* capsule = probe ? PyObject_CallOneArg(torch_api.to_handle, probe) : nullptr;
  long before = 0, after = 0;
  bool known = capsule && number(probe, "_use_count", before);
  if (known) {
    Py_XDECREF(PyObject_CallOneArg(torch_api.from_handle, capsule));
    known = number(probe, "_use_count", after) && (after == before || after == before - 1);
    copied = after == before;
    if (known && copied)
      aoti_torch_delete_tensor_object(static_cast<AtenTensorHandle>(PyCapsule_GetPointer(capsule, nullptr)));
  }
  Py_XDECREF(capsule);
  Py_XDECREF(probe);
  Py_XDECREF(module);
  return known;
}

bool find_torch() {
  Torch& t = torch_api;
  PyObject* tensor = nullptr;
  const bool found =
      set(tensor, "torch", "Tensor") && set(t.to_handle, "torch._C._aoti", "unsafe_alloc_void_ptr_from_tensor") &&
      set(t.from_handle, "torch._C._aoti", "alloc_tensor_by_stealing_from_void_ptr") &&
      set(t.grad_enabled, "torch", "is_grad_enabled") &&
      set(t.transform, "torch._C._functorch", "peek_interpreter_stack") &&
      set(t.dispatch_modes, "torch._C", "_len_torch_dispatch_stack") &&
      set(t.function_modes, "torch._C", "_len_torch_function_stack") &&
      set(t.trace, "torch._C", "_get_tracing_state") && set(t.profiler, "torch._C._autograd", "_profiler_enabled") &&
      set(t.forward_mode, "torch.autograd", "forward_ad");
  t.tensor = reinterpret_cast<PyTypeObject*>(tensor);
  t.requires_grad = PyUnicode_InternFromString("requires_grad");
  t.is_neg = PyUnicode_InternFromString("is_neg");
  t.current_level = PyUnicode_InternFromString("_current_level");
  t.zero = PyLong_FromLong(0);
  t.minus_one = PyLong_FromLong(-1);
  return found && find_whether_handle_is_copied(t.handle_is_copied);
}

// small integers, None, True and False are each one object
bool is(PyObject* result, PyObject* expected) {
  Py_XDECREF(result);
  return result == expected;
}

}  // namespace

void add(const char* name, FastFunction function) {
  methods().push_back(
      {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, nullptr});
}

bool add_functions(PyObject* module) {
  if (methods().empty()) return true;
  if (!find_torch()) {
    PyErr_Clear();
    return true;
  }
  methods().push_back({});
  return PyModule_AddFunctions(module, methods().data()) == 0;
}

bool nothing_between(bool& grad_enabled) {
  const Torch& t = torch_api;
  grad_enabled = !is(PyObject_CallNoArgs(t.grad_enabled), Py_False);
  return is(PyObject_CallNoArgs(t.transform), Py_None) && is(PyObject_CallNoArgs(t.dispatch_modes), t.zero) &&
         is(PyObject_CallNoArgs(t.function_modes), t.zero) && is(PyObject_CallNoArgs(t.trace), Py_None) &&
         is(PyObject_CallNoArgs(t.profiler), Py_False) &&
         is(PyObject_GetAttr(t.forward_mode, t.current_level), t.minus_one);
}

AtenTensorHandle plain_handle(PyObject* object, bool grad_enabled) {
  const Torch& t = torch_api;
  if (Py_TYPE(object) != t.tensor) return nullptr;
  if (grad_enabled && !is(PyObject_GetAttr(object, t.requires_grad), Py_False)) return nullptr;
  if (!is(PyObject_CallMethodNoArgs(object, t.is_neg), Py_False)) return nullptr;
  PyObject* capsule = PyObject_CallOneArg(t.to_handle, object);
  if (!capsule) return nullptr;
  auto handle = static_cast<AtenTensorHandle>(PyCapsule_GetPointer(capsule, nullptr));
  Py_DECREF(capsule);
  if (!handle) return nullptr;

  int32_t device = 0, layout = 0;
  int64_t count = 0;
  void* data = nullptr;
  const bool plain =
      aoti_torch_get_device_type(handle, &device) == AOTI_TORCH_SUCCESS && device == aoti_torch_device_type_cpu() &&
      aoti_torch_get_layout(handle, &layout) == AOTI_TORCH_SUCCESS && layout == aoti_torch_layout_strided() &&
      aoti_torch_get_numel(handle, &count) == AOTI_TORCH_SUCCESS &&
      aoti_torch_get_data_ptr(handle, &data) == AOTI_TORCH_SUCCESS && (data || !count);
  if (plain) return handle;
  aoti_torch_delete_tensor_object(handle);
  return nullptr;
}

PyObject* to_python(const Tensor& tensor) {
  AtenTensorHandle handle = nullptr;
  if (aoti_torch_new_tensor_handle(tensor.get(), &handle) != AOTI_TORCH_SUCCESS) return nullptr;
  PyObject* capsule = PyCapsule_New(handle, nullptr, nullptr);
  PyObject* result = capsule ? PyObject_CallOneArg(torch_api.from_handle, capsule) : nullptr;
  Py_XDECREF(capsule);
  if (!capsule || torch_api.handle_is_copied) aoti_torch_delete_tensor_object(handle);
  return result;
}

}  // namespace mamrl::direct
