// One formula serves the CPU loop and the CUDA kernel.
#pragma once

#ifdef __CUDACC__
#define MAMRL_HOST_DEVICE __host__ __device__
#else
#define MAMRL_HOST_DEVICE
#endif

// A formula that the SIMD kernels use is inlined into its caller always: a copy compiled for one instruction set could
// be linked where another is wanted.
#ifdef __CUDACC__
#define MAMRL_FN static __forceinline__ __host__ __device__
#else
#define MAMRL_FN static inline __attribute__((always_inline))
#endif

// the same for a member of a struct
#ifdef __CUDACC__
#define MAMRL_METHOD __forceinline__ __host__ __device__
#else
#define MAMRL_METHOD inline __attribute__((always_inline))
#endif
