// What the GRU's kernels are called with.
#pragma once

#include "common/recurrent_kernels.h"

namespace mamrl {

// r, z, n
constexpr int kGruGates = 3;

using GruShape = RecurrentShape;
template <class T>
using GruWeights = RecurrentWeights<T>;
template <class T>
using GruForward = RecurrentForward<T>;
template <class T>
using GruGradients = RecurrentGradients<T>;
template <class T>
using GruBackward = RecurrentBackward<T>;
template <class T>
using GruDoubleBackward = RecurrentDoubleBackward<T>;

}  // namespace mamrl
