# filled by the CUDA issue: adds _C_cuda where nvcc and a CUDA build of torch are found
