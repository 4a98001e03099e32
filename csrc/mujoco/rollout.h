// Rollouts of Gaussian LSTM policies that walk HalfCheetahs: physics, policies and draws together, without Python
// between the steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mujoco/dense_network.h"
#include "mujoco/model.h"
#include "mujoco/robot.h"

namespace mamrl::half_cheetah {

template <class T>
struct Agent {
  DenseNetwork<T> network;                   // its outputs are the actions' means
  const T* log_std;                          // (M, A)
  std::vector<int64_t> observation_columns;  // which of the 17 it sees
  std::vector<int64_t> action_columns;       // which of the 6 it moves
};

// M chains, K trajectories each, T control steps from a random start.
template <class T>
struct Rollout {
  int64_t horizon, chains, trajectories;
  std::vector<Agent<T>> agents;
  const int64_t* keys;  // (M, 2): seed, stream
  double direction, reset_noise, control_cost, reward_scale;
  int frame_skip;
  T* observations;    // (T, M, K, 17)
  T* actions;         // (T, M, K, 6), as drawn: the physics clips them
  T* rewards;         // (T, M, K); 0 once a simulation has diverged
  int64_t* diverged;  // (M, K): the step at which it did, or -1
};

// Trajectory k of a chain starts as environment k of a Batch does in episode `stream` of the chain's seed, and draws
// its actions from counters of (seed, stream, time, k); so results do not depend on threads, chains or trajectories
// beside it.
template <class T>
void roll_out(const mjModel* model, const Rollout<T>& rollout, const DenseNetworkKernels<T>& kernels, int num_threads);

}  // namespace mamrl::half_cheetah
