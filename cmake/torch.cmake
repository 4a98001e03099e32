# Finds the headers and libraries of the torch that the target environment has.
#
# `python -I` ignores PYTHONPATH, which is how pip hides the environment behind an isolated build: so a plain
# `pip install .` builds against the torch that is already installed instead of downloading another one.
execute_process(
  COMMAND ${Python_EXECUTABLE} -I -c
          "import importlib.util as u, os; s = u.find_spec('torch'); print(os.path.dirname(s.origin) if s else '')"
  OUTPUT_VARIABLE MAMRL_TORCH_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT MAMRL_TORCH_DIR)
  message(FATAL_ERROR "mamrl builds against an installed torch, and ${Python_EXECUTABLE} has none: "
                      "run 'pip install \"torch>=2.11\"' first")
endif()
file(STRINGS ${MAMRL_TORCH_DIR}/version.py MAMRL_TORCH_VERSION REGEX "^__version__")
message(STATUS "torch: ${MAMRL_TORCH_DIR} (${MAMRL_TORCH_VERSION})")

# A stable-ABI library that Python imports as `module`: it calls nothing of torch outside torch/csrc/stable, so it serves
# every torch >= 2.11.
function(mamrl_torch_library target module)
  target_include_directories(${target} PRIVATE csrc)
  target_include_directories(${target} SYSTEM PRIVATE ${MAMRL_TORCH_DIR}/include ${Python_INCLUDE_DIRS})
  target_compile_definitions(${target} PRIVATE TORCH_TARGET_VERSION=0x020b000000000000 MAMRL_MODULE=${module})
  target_link_libraries(${target} PRIVATE ${MAMRL_TORCH_DIR}/lib/libtorch_cpu.so)
  set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX ".so" OUTPUT_NAME ${module} SKIP_BUILD_RPATH ON
                                             INSTALL_RPATH "")
endfunction()

function(mamrl_torch_module target)
  mamrl_torch_library(${target} ${target})
  install(TARGETS ${target} LIBRARY DESTINATION mamrl)
endfunction()
