// How the formulas of csrc/common are compiled: inlined into the caller always, so that one header serves the
// CPU's SIMD levels and the CUDA kernels, and no copy compiled for one instruction set can be linked into
// another.
#pragma once

#ifdef __CUDACC__
#define MAMRL_FN static __forceinline__ __host__ __device__
#else
#define MAMRL_FN static inline __attribute__((always_inline))
#endif
