#include "mujoco/dense_network.h"

#include <stdexcept>

#define MAMRL_DECLARE_LEVEL(level)                                                              \
  namespace mamrl::level {                                                                      \
  template <class T>                                                                            \
  int64_t dense_scratch(const DenseNetwork<T>&);                                                \
  template <class T>                                                                            \
  void dense_start(const DenseNetwork<T>&, int64_t, char*);                                     \
  template <class T>                                                                            \
  void dense_step(const DenseNetwork<T>&, char*, const T*, int64_t, T*);                        \
  template <class T>                                                                            \
  constexpr DenseNetworkKernels<T> kernels = {dense_scratch<T>, dense_start<T>, dense_step<T>}; \
  }

MAMRL_DECLARE_LEVEL(baseline)
#ifdef __x86_64__
MAMRL_DECLARE_LEVEL(avx2)
MAMRL_DECLARE_LEVEL(avx512)
#endif

namespace mamrl {

template <class T>
const DenseNetworkKernels<T>& dense_network_kernels(const std::string& level) {
  if (level == "baseline") return baseline::kernels<T>;
#ifdef __x86_64__
  if (level == "avx2") return avx2::kernels<T>;
  if (level == "avx512") return avx512::kernels<T>;
#endif
  throw std::invalid_argument("SIMD level '" + level + "' is unknown");
}

template const DenseNetworkKernels<float>& dense_network_kernels<float>(const std::string&);
template const DenseNetworkKernels<double>& dense_network_kernels<double>(const std::string&);

}  // namespace mamrl
