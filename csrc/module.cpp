// The Python face of a module of ops, MAMRL_MODULE: importing it runs the static registrations of the sources that are
// linked with it; it holds their direct functions, if they have any.
#include "direct.h"

#define MAMRL_JOIN(a, b) a##b
#define MAMRL_INIT(name) MAMRL_JOIN(PyInit_, name)
#define MAMRL_TEXT(name) #name
#define MAMRL_NAME(name) MAMRL_TEXT(name)

extern "C" __attribute__((visibility("default"))) PyObject* MAMRL_INIT(MAMRL_MODULE)() {
  static PyModuleDef definition = {
      PyModuleDef_HEAD_INIT, MAMRL_NAME(MAMRL_MODULE), nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};
  PyObject* module = PyModule_Create(&definition);
  if (module && !mamrl::direct::add_functions(module)) Py_CLEAR(module);
  return module;
}
