// What the batch environment and the rollouts share about one HalfCheetah: its sizes, its start and one
// control step.
#pragma once

#include <mujoco/mujoco.h>

#include <cstdint>

#include "common/philox.h"

namespace mamrl::half_cheetah {

constexpr int kCoordinates = 9;  // of qpos and of qvel: rootx, rootz, rooty, then the six driven joints
constexpr int kActions = 6;
constexpr int kObservations = 17;  // qpos without rootx, then qvel

// The part of mjData that the next step depends on.
struct State {
  double time;
  double qpos[kCoordinates], qvel[kCoordinates], qacc_warmstart[kCoordinates];
};

State read_state(const mjData* data);
void write_state(const State& state, mjData* data);

// Which random start: counters of common/philox.h, so that a start depends on these alone.
struct StartKey {
  int64_t seed, stream, index;
};

// qpos0 + noise * uniform[-1, 1) and noise * normal, as Gymnasium's HalfCheetah-v5 distributes them.
State random_start(const mjModel* model, const StartKey& key, double noise);

// What a control step of `frame_skip` physics steps did.
struct StepResult {
  double forward;  // m/s along +x
  double control;  // sum of squares of the actions that were applied
  int fault;       // 0, or 1 + the mjtWarning that MuJoCo raised, or kFaultState
};

// the state that a step left behind holds NaN or a number beyond mjMAXVAL
constexpr int kFaultState = 1 + mjNWARNING;
// MuJoCo stopped the step by an error
constexpr int kFaultError = 2 + mjNWARNING;

// Applies `action`, clipped to [-1, 1], for `frame_skip` steps. After a fault the state is the one before the
// call.
template <class T>
StepResult control_step(const mjModel* model, mjData* data, const T* action, int frame_skip);

// qpos[1:], qvel
template <class T>
void observe(const double* qpos, const double* qvel, T* observation);

}  // namespace mamrl::half_cheetah
