#include "mujoco/half_cheetah.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace mamrl::half_cheetah {
namespace {

double* row_component(mjBatch* batch, mjtState component, int env) {
  return mjb_stateComponent(batch, component, nullptr) + int64_t{env} * mjb_nstate(batch);
}

}  // namespace

Outputs::Outputs(int num_envs)
    : observations(num_envs * kObservations),
      final_observations(num_envs * kObservations),
      rewards(num_envs),
      forward_rewards(num_envs),
      control_rewards(num_envs),
      x_positions(num_envs),
      x_velocities(num_envs),
      terminations(num_envs),
      truncations(num_envs),
      started(num_envs),
      faults(num_envs) {}

Batch::Batch(const Settings& settings)
    : settings_(settings),
      batch_(nullptr, mjb_deleteBatch),
      directions_(settings.num_envs, 1.0),
      seeds_(settings.num_envs),
      indices_(settings.num_envs),
      episodes_(settings.num_envs),
      elapsed_(settings.num_envs),
      playing_(settings.num_envs),
      ended_(settings.num_envs),
      outputs_(settings.num_envs),
      process_(getpid()) {
  const ModelPointer model = load_model(settings.model_path);
  mjBatchConfig config;
  mjb_defaultConfig(&config);
  config.nthread = settings.num_threads;
  config.persistent = 0;
  char error[1024] = "";
  batch_.reset(mjb_makeBatch(model.get(), settings.num_envs, &config, error, sizeof(error)));
  if (!batch_) throw std::runtime_error(std::string("MuJoCo cannot make the batch: ") + error);
  num_state_ = mjb_nstate(batch_.get());
  time_step_ = model->opt.timestep * settings.frame_skip;
}

Batch::Lock Batch::enter() {
  Lock lock(mutex_, std::try_to_lock);
  if (!lock) throw std::runtime_error("the environments are in use by another thread");
  if (!batch_) throw std::runtime_error("the environments are closed");
  if (process_ != getpid()) {
    throw std::runtime_error("the environments belong to the process that made them: make them after the fork");
  }
  return lock;
}

void Batch::close() {
  const Lock lock(mutex_);
  if (process_ == getpid()) {
    batch_.reset();
  } else {
    // the pool's threads are not in this process: joining them would hang
    static_cast<void>(batch_.release());
  }
}

bool Batch::closed() {
  const Lock lock(mutex_);
  return !batch_;
}

void Batch::seed(const std::vector<int64_t>& seeds, const std::vector<int64_t>& indices, const uint8_t* mask) {
  const Lock lock = enter();
  for (int env = 0; env < settings_.num_envs; ++env) {
    if (mask && !mask[env]) continue;
    seeds_[env] = seeds[env];
    indices_[env] = indices[env];
    episodes_[env] = 0;
  }
}

void Batch::reset(const uint8_t* mask) {
  const Lock lock = enter();
  std::fill(outputs_.started.begin(), outputs_.started.end(), 0);
  for (int env = 0; env < settings_.num_envs; ++env) {
    if (mask && !mask[env]) continue;
    const State start = begin_episode(env);
    write_row(env, start);
    record_start(env, start);
  }
}

State Batch::begin_episode(int env) {
  const StartKey key = {seeds_[env], episodes_[env]++, indices_[env]};
  elapsed_[env] = 0;
  ended_[env] = 0;
  playing_[env] = 1;
  return random_start(mjb_model(batch_.get()), key, settings_.reset_noise);
}

void Batch::write_row(int env, const State& state) {
  mjBatch* batch = batch_.get();
  *row_component(batch, mjSTATE_TIME, env) = state.time;
  std::copy_n(state.qpos, kCoordinates, row_component(batch, mjSTATE_QPOS, env));
  std::copy_n(state.qvel, kCoordinates, row_component(batch, mjSTATE_QVEL, env));
  std::copy_n(state.qacc_warmstart, kCoordinates, row_component(batch, mjSTATE_WARMSTART, env));
}

void Batch::record_start(int env, const State& state) {
  observe(state.qpos, state.qvel, &outputs_.observations[env * kObservations]);
  outputs_.rewards[env] = outputs_.forward_rewards[env] = outputs_.control_rewards[env] = 0;
  outputs_.x_positions[env] = state.qpos[0];
  outputs_.x_velocities[env] = 0;
  outputs_.terminations[env] = outputs_.truncations[env] = outputs_.faults[env] = 0;
  outputs_.started[env] = 1;
}

template <class T>
void Batch::check_actions(const T* actions) const {
  const int64_t count = int64_t{settings_.num_envs} * kActions;
  // a NaN or an infinity makes the sum of differences NaN: one pass without branches
  T sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += actions[i] - actions[i];
  if (sum == 0) return;
  for (int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(actions[i])) {
      throw std::invalid_argument("actions[" + std::to_string(i / kActions) + ", " + std::to_string(i % kActions) +
                                  "] is " + std::to_string(actions[i]) + ", expected a finite number");
    }
  }
}

void Batch::check_started() const {
  for (int env = 0; env < settings_.num_envs; ++env) {
    if (!playing_[env]) {
      throw std::runtime_error("environment " + std::to_string(env) +
                               " has not been reset: call reset() before step()");
    }
    if (ended_[env] && settings_.autoreset == Autoreset::kDisabled) {
      throw std::runtime_error("environment " + std::to_string(env) +
                               "'s episode has ended: reset it, or choose an autoreset mode");
    }
  }
}

template <class T>
void Batch::step(const T* actions) {
  const Lock lock = enter();
  check_started();
  check_actions(actions);
  struct Call {
    Batch* self;
    const T* actions;
  } call = {this, actions};
  const auto run = [](const mjModel* model, mjData* data, int env, void* argument) {
    const Call& c = *static_cast<Call*>(argument);
    c.self->step_one(model, data, env, c.actions + int64_t{env} * kActions);
  };
  if (mjb_apply(batch_.get(), nullptr, settings_.num_envs, run, &call, 1) > 0) handle_errors();
}

template <class T>
void Batch::step_one(const mjModel* model, mjData* data, int env, const T* action) {
  if (ended_[env] && settings_.autoreset == Autoreset::kNextStep) {
    const State start = begin_episode(env);
    write_state(start, data);
    record_start(env, start);
    return;
  }
  outputs_.started[env] = 0;
  const StepResult result = control_step(model, data, action, settings_.frame_skip);
  if (result.fault) {
    record_fault(env, result.fault);
  } else {
    const double forward = directions_[env] * result.forward, control = settings_.control_cost * result.control;
    outputs_.rewards[env] = settings_.reward_scale * (forward - control);
    outputs_.forward_rewards[env] = forward;
    outputs_.control_rewards[env] = -control;
    outputs_.x_velocities[env] = result.forward;
    outputs_.terminations[env] = outputs_.faults[env] = 0;
  }
  end_step(env, data->qpos, data->qvel);
  if (ended_[env] && settings_.autoreset == Autoreset::kSameStep) {
    const State start = begin_episode(env);
    write_state(start, data);
    double* observation = &outputs_.observations[env * kObservations];
    std::copy_n(observation, kObservations, &outputs_.final_observations[env * kObservations]);
    observe(start.qpos, start.qvel, observation);
    outputs_.started[env] = 1;
  }
}

void Batch::record_fault(int env, int fault) {
  outputs_.rewards[env] = outputs_.forward_rewards[env] = outputs_.control_rewards[env] = 0;
  outputs_.x_velocities[env] = 0;
  outputs_.terminations[env] = 1;
  outputs_.faults[env] = static_cast<uint8_t>(fault);
}

void Batch::end_step(int env, const double* qpos, const double* qvel) {
  ++elapsed_[env];
  observe(qpos, qvel, &outputs_.observations[env * kObservations]);
  outputs_.x_positions[env] = qpos[0];
  outputs_.truncations[env] =
      !outputs_.terminations[env] && settings_.episode_length > 0 && elapsed_[env] >= settings_.episode_length;
  ended_[env] = outputs_.terminations[env] || outputs_.truncations[env];
}

// A simulation that MuJoCo stopped kept the row it had before the call.
void Batch::handle_errors() {
  mjBatch* batch = batch_.get();
  for (int env = 0; env < settings_.num_envs; ++env) {
    if (!mjb_status(batch)[env]) continue;
    record_fault(env, kFaultError);
    end_step(env, row_component(batch, mjSTATE_QPOS, env), row_component(batch, mjSTATE_QVEL, env));
    if (settings_.autoreset == Autoreset::kSameStep) {
      std::copy_n(&outputs_.observations[env * kObservations], kObservations,
                  &outputs_.final_observations[env * kObservations]);
      const State start = begin_episode(env);
      write_row(env, start);
      observe(start.qpos, start.qvel, &outputs_.observations[env * kObservations]);
      outputs_.started[env] = 1;
    }
  }
}

void Batch::get_state(double* rows) {
  const Lock lock = enter();
  std::copy_n(mjb_state(batch_.get()), int64_t{settings_.num_envs} * num_state_, rows);
}

void Batch::set_state(const double* rows, const uint8_t* mask) {
  const Lock lock = enter();
  mjBatch* batch = batch_.get();
  for (int env = 0; env < settings_.num_envs; ++env) {
    if (mask && !mask[env]) continue;
    std::copy_n(rows + int64_t{env} * num_state_, num_state_, mjb_state(batch) + int64_t{env} * num_state_);
    elapsed_[env] = 0;
    ended_[env] = 0;
    playing_[env] = 1;
    State state = {};
    std::copy_n(row_component(batch, mjSTATE_QPOS, env), kCoordinates, state.qpos);
    std::copy_n(row_component(batch, mjSTATE_QVEL, env), kCoordinates, state.qvel);
    record_start(env, state);
  }
}

template void Batch::step(const float*);
template void Batch::step(const double*);

}  // namespace mamrl::half_cheetah
