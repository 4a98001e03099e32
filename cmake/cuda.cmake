# _C_cuda: the ops on the GPU. Its symbols live in libtorch_cuda, so it is built only where torch is a CUDA build and an
# nvcc is found; elsewhere it is left out, and the CPU's kernels are all there is.
file(GLOB MAMRL_CUDA_SOURCES CONFIGURE_DEPENDS csrc/cuda/*.cu)
file(STRINGS ${MAMRL_TORCH_DIR}/version.py MAMRL_TORCH_CUDA REGEX "^cuda.*= *'[0-9.]+'")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
include(CheckLanguage)
if(MAMRL_TORCH_CUDA)
  check_language(CUDA)
endif()

if(NOT MAMRL_TORCH_CUDA)
  message(STATUS "CUDA: torch is a CPU build, _C_cuda is left out")
elseif(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "CUDA: no nvcc found, _C_cuda is left out (put it on PATH, or set CUDACXX)")
else()
  # machine code for A100 and H100, and PTX for whatever comes after
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
  endif()
  enable_language(CUDA)
  message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER} (${CMAKE_CUDA_COMPILER_VERSION}) for ${CMAKE_CUDA_ARCHITECTURES}")
  add_library(_C_cuda MODULE csrc/direct.cpp csrc/module.cpp ${MAMRL_CUDA_SOURCES})
  mamrl_torch_module(_C_cuda)
  target_compile_definitions(_C_cuda PRIVATE USE_CUDA)
  target_compile_options(_C_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra;-Werror=all-warnings>")
  target_link_libraries(_C_cuda PRIVATE ${MAMRL_TORCH_DIR}/lib/libtorch_cuda.so)
endif()

# The same sources for the CPU, where csrc/cuda/emulated runs their blocks thread by thread: for the tests, which import
# it in the place of _C; never installed.
option(MAMRL_EMULATE_CUDA "build the CUDA kernels for the CPU, for tests" OFF)
if(MAMRL_EMULATE_CUDA)
  set(MAMRL_EMULATED_DIR ${CMAKE_SOURCE_DIR}/build/emulated CACHE PATH "where the tests find them")
  set(wrapped ${CMAKE_BINARY_DIR}/emulated_sources)
  foreach(source IN LISTS MAMRL_CUDA_SOURCES)
    get_filename_component(name ${source} NAME_WE)
    file(CONFIGURE OUTPUT ${wrapped}/${name}.cpp CONTENT "#include \"cuda/${name}.cu\"\n")
    list(APPEND MAMRL_EMULATED_SOURCES ${wrapped}/${name}.cpp)
  endforeach()
  add_library(_C_emulated MODULE csrc/library.cpp csrc/direct.cpp csrc/module.cpp csrc/cuda/emulated/emulator.cpp
                                 ${MAMRL_EMULATED_SOURCES})
  mamrl_torch_library(_C_emulated _C)
  # unrolling is nvcc's business
  target_compile_options(_C_emulated PRIVATE -Wno-unknown-pragmas)
  set_target_properties(_C_emulated PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${MAMRL_EMULATED_DIR})
endif()
