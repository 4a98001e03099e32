// A batch of HalfCheetahs on MuJoCo's batch API (mujoco/mjbatch.h).
//
// The batch keeps one mjData a thread and one state row a simulation: 64 rows and one mjData stay in L2,
// where 64 mjData (the API's persistent mode) do not; measured, that is worth 3%. mjb_apply runs a whole
// control step on a simulation while it is loaded, reading the caller's actions and writing the
// caller-visible outputs, so nothing is copied in between.
#pragma once

#include <mujoco/mjbatch.h>
#include <mujoco/mujoco.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "mujoco/model.h"
#include "mujoco/robot.h"

namespace mamrl::half_cheetah {

// What happens to an environment whose episode has ended.
enum class Autoreset {
  kNextStep,  // the next step ignores its action and starts a new episode, with reward 0
  kSameStep,  // the step that ends an episode starts the next; final_observations keeps its last observation
  kDisabled,  // stepping it is an error until it is reset
};

struct Settings {
  std::string model_path;
  int num_envs = 1;
  int num_threads = 1;
  int frame_skip = 5;
  int episode_length = 1000;  // control steps until truncation; 0: never
  double reset_noise = 0.1;
  double control_cost = 0.1;
  double reward_scale = 1;
  Autoreset autoreset = Autoreset::kNextStep;
};

// One row an environment; every step and reset writes them.
struct Outputs {
  std::vector<double> observations, final_observations;  // (E, 17)
  std::vector<double> rewards;                           // scale * (reward_forward + reward_control)
  std::vector<double> forward_rewards, control_rewards;  // direction * velocity, -cost * |action|^2
  std::vector<double> x_positions, x_velocities;         // m, m/s
  std::vector<uint8_t> terminations, truncations;        // the simulation diverged; the episode's time is up
  std::vector<uint8_t> started;                          // a new episode began
  std::vector<uint8_t> faults;                           // see StepResult::fault

  explicit Outputs(int num_envs);
};

class Batch {
 public:
  explicit Batch(const Settings& settings);

  // Environment i's next start is drawn from (seeds[i], episode 0, indices[i]), where mask is nonzero; everywhere if it
  // is null.
  void seed(const std::vector<int64_t>& seeds, const std::vector<int64_t>& indices, const uint8_t* mask);

  // Starts new episodes where mask is nonzero; everywhere if it is null.
  void reset(const uint8_t* mask);

  // actions (E, 6), finite; clipped to [-1, 1].
  template <class T>
  void step(const T* actions);

  // State rows (E, num_state) in the order of mjSTATE_INTEGRATION. Setting one begins an episode at it.
  void get_state(double* rows);
  void set_state(const double* rows, const uint8_t* mask);

  // Calls `visit` with a span over everything that a step depends on or shows, in an order that is always the same:
  // what a copy of the batch is made of.
  template <class Visit>
  void visit_state(Visit&& visit);

  void close();
  bool closed();

  const Settings& settings() const { return settings_; }
  int num_state() const { return num_state_; }
  double time_step() const { return time_step_; }
  std::vector<double>& directions() { return directions_; }
  Outputs& outputs() { return outputs_; }

 private:
  using Lock = std::unique_lock<std::mutex>;

  Lock enter();
  template <class T>
  void check_actions(const T* actions) const;
  void check_started() const;
  template <class T>
  void step_one(const mjModel* model, mjData* data, int env, const T* action);
  State begin_episode(int env);
  void write_row(int env, const State& state);
  void record_start(int env, const State& state);
  void record_fault(int env, int fault);
  void end_step(int env, const double* qpos, const double* qvel);
  void handle_errors();

  Settings settings_;
  std::unique_ptr<mjBatch, decltype(&mjb_deleteBatch)> batch_;
  int num_state_;
  double time_step_;
  std::vector<double> directions_;
  std::vector<int64_t> seeds_, indices_, episodes_;
  std::vector<int> elapsed_;
  std::vector<uint8_t> playing_, ended_;
  Outputs outputs_;
  std::mutex mutex_;
  pid_t process_;
};

template <class Visit>
void Batch::visit_state(Visit&& visit) {
  const Lock lock = enter();
  visit(std::span(mjb_state(batch_.get()), size_t(settings_.num_envs) * num_state_));
  visit(std::span(directions_));
  for (std::vector<int64_t>* values : {&seeds_, &indices_, &episodes_}) visit(std::span(*values));
  visit(std::span(elapsed_));
  Outputs& o = outputs_;
  for (std::vector<uint8_t>* values : {&playing_, &ended_, &o.terminations, &o.truncations, &o.started, &o.faults}) {
    visit(std::span(*values));
  }
  for (std::vector<double>* values : {&o.observations, &o.final_observations, &o.rewards, &o.forward_rewards,
                                      &o.control_rewards, &o.x_positions, &o.x_velocities}) {
    visit(std::span(*values));
  }
}

}  // namespace mamrl::half_cheetah
