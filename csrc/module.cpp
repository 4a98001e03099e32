// The Python face of a module of ops, MAMRL_MODULE: importing it runs the static registrations of the sources that are
// linked with it; it holds nothing.
#include <Python.h>

#define MAMRL_JOIN(a, b) a##b
#define MAMRL_INIT(name) MAMRL_JOIN(PyInit_, name)
#define MAMRL_TEXT(name) #name
#define MAMRL_NAME(name) MAMRL_TEXT(name)

extern "C" __attribute__((visibility("default"))) PyObject* MAMRL_INIT(MAMRL_MODULE)() {
  static PyModuleDef module = {
      PyModuleDef_HEAD_INIT, MAMRL_NAME(MAMRL_MODULE), nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};
  return PyModule_Create(&module);
}
