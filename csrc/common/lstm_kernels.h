// What the LSTM's kernels are called with.
#pragma once

#include "common/recurrent_kernels.h"

namespace mamrl {

// i, f, g, o
constexpr int kLstmGates = 4;

using LstmShape = RecurrentShape;
template <class T>
using LstmWeights = RecurrentWeights<T>;
template <class T>
using LstmForward = RecurrentForward<T>;
template <class T>
using LstmGradients = RecurrentGradients<T>;
template <class T>
using LstmBackward = RecurrentBackward<T>;
template <class T>
using LstmDoubleBackward = RecurrentDoubleBackward<T>;

}  // namespace mamrl
