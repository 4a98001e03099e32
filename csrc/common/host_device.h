// One formula serves the CPU loop and the CUDA kernel.
#pragma once

#ifdef __CUDACC__
#define MAMRL_HOST_DEVICE __host__ __device__
#else
#define MAMRL_HOST_DEVICE
#endif
