#include "mujoco/robot.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mamrl::half_cheetah {
namespace {

// starts draw from counters of a time that no action has
constexpr int64_t kStartTime = int64_t{1} << 31;

// Two uniforms in [0, 1) of 53 bits from one counter.
void uniform_pair(const StartKey& key, int draw, double* pair) {
  const PhiloxWords words = action_words(key.seed, key.stream, kStartTime + draw, key.index, 0);
  for (int i = 0; i < 2; ++i) {
    pair[i] = ((words.word[2 * i] >> 5) * 67108864.0 + (words.word[2 * i + 1] >> 6)) * 0x1p-53;
  }
}

bool valid(const double* x, int count) {
  return std::all_of(x, x + count, [](double value) { return std::abs(value) <= mjMAXVAL; });
}

// MuJoCo prints a warning the first time its counter rises; a counter that stands here already is raised in
// silence.
constexpr int kPrimed = 2;

void prime_warnings(mjData* data) {
  for (mjWarningStat& warning : data->warning) warning.number = kPrimed;
}

// The first warning raised since prime_warnings; MuJoCo sets the counter to 1 where it has reset the
// simulation as well.
int raised_warning(const mjData* data) {
  for (int w = 0; w < mjNWARNING; ++w) {
    const int number = data->warning[w].number;
    if (number == 1 || number > kPrimed) return 1 + w;
  }
  return 0;
}

void clear_warnings(mjData* data) {
  for (mjWarningStat& warning : data->warning) warning = {};
}

int advance(const mjModel* model, mjData* data, int frame_skip) {
  for (int i = 0; i < frame_skip; ++i) {
    mj_step(model, data);
    if (const int fault = raised_warning(data)) return fault;
  }
  return valid(data->qpos, kCoordinates) && valid(data->qvel, kCoordinates) ? 0 : kFaultState;
}

}  // namespace

State read_state(const mjData* data) {
  State state;
  state.time = data->time;
  std::copy_n(data->qpos, kCoordinates, state.qpos);
  std::copy_n(data->qvel, kCoordinates, state.qvel);
  std::copy_n(data->qacc_warmstart, kCoordinates, state.qacc_warmstart);
  return state;
}

void write_state(const State& state, mjData* data) {
  data->time = state.time;
  std::copy_n(state.qpos, kCoordinates, data->qpos);
  std::copy_n(state.qvel, kCoordinates, data->qvel);
  std::copy_n(state.qacc_warmstart, kCoordinates, data->qacc_warmstart);
}

State random_start(const mjModel* model, const StartKey& key, double noise) {
  constexpr int kPairs = (kCoordinates + 1) / 2;
  double uniform[2 * kPairs], normal[2 * kPairs];
  for (int i = 0; i < kPairs; ++i) {
    uniform_pair(key, i, uniform + 2 * i);
    // Box and Muller 1958
    double pair[2];
    uniform_pair(key, kPairs + i, pair);
    const double radius = std::sqrt(-2 * std::log1p(-pair[0])), angle = 2 * std::numbers::pi * pair[1];
    normal[2 * i] = radius * std::cos(angle);
    normal[2 * i + 1] = radius * std::sin(angle);
  }
  State state = {};
  for (int i = 0; i < kCoordinates; ++i) {
    state.qpos[i] = model->qpos0[i] + noise * (2 * uniform[i] - 1);
    state.qvel[i] = noise * normal[i];
  }
  return state;
}

template <class T>
StepResult control_step(const mjModel* model, mjData* data, const T* action, int frame_skip) {
  const State before = read_state(data);
  StepResult result = {};
  for (int i = 0; i < kActions; ++i) {
    data->ctrl[i] = std::clamp<double>(action[i], -1, 1);
    result.control += data->ctrl[i] * data->ctrl[i];
  }
  prime_warnings(data);
  result.fault = advance(model, data, frame_skip);
  clear_warnings(data);
  if (result.fault) {
    write_state(before, data);
  } else {
    result.forward = (data->qpos[0] - before.qpos[0]) / (model->opt.timestep * frame_skip);
  }
  return result;
}

template <class T>
void observe(const double* qpos, const double* qvel, T* observation) {
  std::copy_n(qpos + 1, kCoordinates - 1, observation);
  std::copy_n(qvel, kCoordinates, observation + kCoordinates - 1);
}

template StepResult control_step(const mjModel*, mjData*, const float*, int);
template StepResult control_step(const mjModel*, mjData*, const double*, int);
template void observe(const double*, const double*, float*);
template void observe(const double*, const double*, double*);

}  // namespace mamrl::half_cheetah
