// DiCE (Foerster et al. 2018c) and Loaded DiCE (Farquhar et al. 2019) without exp: at box(x) = 1 both objectives are
// determined by one weight a step, rho_t, and DiCE's own baseline term beta_t = discount^t b_t:
//
//   dS / dD_t = (rho_t - beta_t) / K          d2S / dD_t dD_s = (rho_max(t,s) - [t = s] beta_t) / K
//
// with rho_t = sum_{s>=t} discount^s r_s for DiCE, and rho_t = discount^t A_t, beta_t = 0 for Loaded DiCE. One step of
// each recursion over time, shared by the CPU loops and the CUDA kernels. Sums over time run in double: nothing
// contracts them, so that float32 would lose a digit over a thousand steps.
#pragma once

#include "common/host_device.h"

namespace mamrl {

// One step backwards in time of rho for DiCE; power is discount^t.
template <class T>
MAMRL_FN double dice_pair_weight(double later, T reward, T power) {
  return later + double(power * reward);
}

// K times dS / dD_t.
template <class T>
MAMRL_FN T dice_weight(T pair_weight, T baseline, T power) {
  return pair_weight - power * baseline;
}

// K times row t of the Hessian times v: rho_t sum_{s<=t} v_s + sum_{s>t} rho_s v_s - beta_t v_t. This is its first and
// last term, from a pass forwards; dice_later_product adds the other from a pass backwards.
template <class T>
MAMRL_FN T dice_earlier_product(double earlier, T vector, T pair_weight, T baseline, T power) {
  return pair_weight * T(earlier) - power * baseline * vector;
}

template <class T>
MAMRL_FN double dice_later_product(double later, T vector, T pair_weight) {
  return later + double(pair_weight * vector);
}

}  // namespace mamrl
