// The quantile Huber loss (Dabney et al. 2018, equation 10) of one pair of quantiles, threshold 1.
#pragma once

#include "common/host_device.h"

namespace mamrl {

// u = target - predicted, level tau of the predicted quantile: |tau - 1[u < 0]| huber(u), and its slope in u
template <class T>
MAMRL_FN void quantile_huber_pair(T u, T level, T& loss, T& slope) {
  const T weight = u < 0 ? T(1) - level : level;
  const T bounded = u < T(-1) ? T(-1) : (u > T(1) ? T(1) : u);
  slope = weight * bounded;
  loss = slope * (u - T(0.5) * bounded);
}

// tau_i = (i + 1/2) / Q
template <class T>
MAMRL_FN T quantile_level(T i, T quantiles) {
  return (i + T(0.5)) / quantiles;
}

}  // namespace mamrl
