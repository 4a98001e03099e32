# _C_mujoco: the batch HalfCheetah. Headers and library come with the pip package mujoco, a requirement of the build like
# pybind11; where a build without isolation lacks either, the module is left out and `mamrl.games.half_cheetah` says how to
# get it. Both are asked of the plain interpreter, not of `python -I`: it sees what pip installs for an isolated build.
set(MAMRL_MUJOCO_VERSION 4.0.0)
execute_process(
  COMMAND ${Python_EXECUTABLE} -c
          "import importlib.util as u, os; s = u.find_spec('mujoco'); print(os.path.dirname(s.origin) if s else '')"
  OUTPUT_VARIABLE MAMRL_MUJOCO_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(
  COMMAND ${Python_EXECUTABLE} -c "import pybind11; print(pybind11.get_include())"
  OUTPUT_VARIABLE MAMRL_PYBIND11_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
set(MAMRL_MUJOCO_LIBRARY ${MAMRL_MUJOCO_DIR}/libmujoco.so.${MAMRL_MUJOCO_VERSION})

if(NOT MAMRL_MUJOCO_DIR)
  message(STATUS "mujoco: not installed, _C_mujoco is left out (pip install mujoco==${MAMRL_MUJOCO_VERSION})")
elseif(NOT EXISTS ${MAMRL_MUJOCO_LIBRARY})
  message(STATUS "mujoco: ${MAMRL_MUJOCO_DIR} is not ${MAMRL_MUJOCO_VERSION}, _C_mujoco is left out")
elseif(NOT MAMRL_PYBIND11_INCLUDE)
  message(STATUS "pybind11: not installed, _C_mujoco is left out")
else()
  message(STATUS "mujoco: ${MAMRL_MUJOCO_DIR} (${MAMRL_MUJOCO_VERSION})")
  file(GLOB MAMRL_MUJOCO_SOURCES CONFIGURE_DEPENDS csrc/mujoco/*.cpp)
  add_library(_C_mujoco MODULE ${MAMRL_MUJOCO_SOURCES})
  target_include_directories(_C_mujoco PRIVATE csrc)
  target_include_directories(_C_mujoco SYSTEM PRIVATE ${MAMRL_MUJOCO_DIR}/include ${MAMRL_PYBIND11_INCLUDE}
                                                      ${Python_INCLUDE_DIRS})
  target_link_libraries(_C_mujoco PRIVATE ${MAMRL_MUJOCO_LIBRARY})
  file(GLOB MAMRL_MUJOCO_SIMD_SOURCES CONFIGURE_DEPENDS csrc/mujoco/simd/*.cpp)
  mamrl_simd_sources(_C_mujoco ${MAMRL_MUJOCO_SIMD_SOURCES})
  # no path to the library is recorded: Python loads it first, and the loader matches it by its soname
  set_target_properties(_C_mujoco PROPERTIES PREFIX "" SUFFIX ".${Python_SOABI}.so" SKIP_BUILD_RPATH ON
                                             INSTALL_RPATH "")
  install(TARGETS _C_mujoco LIBRARY DESTINATION mamrl)
endif()
