// The features of the linear baseline (Duan et al. 2016): [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1].
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

constexpr int kTimeFeatures = 4;

// t/100, (t/100)^2, (t/100)^3, 1
MAMRL_FN void time_features(int64_t t, double* z) {
  const double tau = double(t) / 100;
  z[0] = tau;
  z[1] = tau * tau;
  z[2] = tau * tau * tau;
  z[3] = 1;
}

}  // namespace mamrl
