#include "mujoco/rollout.h"

#include <mujoco/mjbatch.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <numbers>
#include <stdexcept>

namespace mamrl::half_cheetah {
namespace {

constexpr double kLeastStd = 1e-6;
// joints that share a counter's four words
constexpr int kJointsPerDraw = 4;

// The standard normals of the six joints at one time (Box and Muller 1958).
template <class T>
void draw_noise(int64_t seed, int64_t stream, int64_t time, int64_t trajectory, T* noise) {
  double normal[2 * kJointsPerDraw];
  for (int group = 0; group < 2; ++group) {
    const PhiloxWords words = action_words(seed, stream, time, trajectory, group);
    for (int i = 0; i < kJointsPerDraw; i += 2) {
      const double radius = std::sqrt(-2 * std::log((words.word[i] + 1.0) * 0x1p-32));
      const double angle = 2 * std::numbers::pi * 0x1p-32 * words.word[i + 1];
      normal[group * kJointsPerDraw + i] = radius * std::cos(angle);
      normal[group * kJointsPerDraw + i + 1] = radius * std::sin(angle);
    }
  }
  std::copy_n(normal, kActions, noise);
}

struct Free {
  void operator()(char* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<char, Free>;

// Memory of the calling thread, which the next block on it uses again.
char* thread_memory(int64_t bytes) {
  thread_local Memory memory;
  thread_local int64_t size = 0;
  if (size < bytes) {
    const auto rounded = static_cast<size_t>((bytes + 63) / 64 * 64);
    memory.reset(static_cast<char*>(std::aligned_alloc(64, rounded)));
    size = memory ? bytes : 0;
  }
  return memory.get();
}

// Up to kTrajectoryBlock trajectories of one chain. MuJoCo leaves by longjmp on an error: nothing here owns anything.
template <class T>
struct Block {
  const Rollout<T>& r;
  const DenseNetworkKernels<T>& kernels;
  const mjModel* model;
  mjData* data;
  int64_t chain, first, count;
  State states[kTrajectoryBlock];
  T seen[kTrajectoryBlock * kObservations];
  T means[kTrajectoryBlock * kActions];

  int64_t row(int64_t time) const { return (time * r.chains + chain) * r.trajectories + first; }

  void begin() {
    const int64_t seed = r.keys[2 * chain], stream = r.keys[2 * chain + 1];
    for (int64_t k = 0; k < count; ++k) {
      states[k] = random_start(model, {seed, stream, first + k}, r.reset_noise);
      r.diverged[chain * r.trajectories + first + k] = -1;
    }
  }

  void look(int64_t time) {
    for (int64_t k = 0; k < count; ++k) {
      observe(states[k].qpos, states[k].qvel, r.observations + (row(time) + k) * kObservations);
    }
  }

  void act(const Agent<T>& agent, char* memory, int64_t time) {
    const int64_t inputs = agent.network.inputs, outputs = agent.network.outputs;
    const T* observations = r.observations + row(time) * kObservations;
    for (int64_t k = 0; k < count; ++k) {
      for (int64_t i = 0; i < inputs; ++i) {
        seen[k * inputs + i] = observations[k * kObservations + agent.observation_columns[i]];
      }
    }
    kernels.step(agent.network, memory, seen, count, means);
    T* actions = r.actions + row(time) * kActions;
    for (int64_t a = 0; a < outputs; ++a) {
      const T std = std::max<T>(std::exp(agent.log_std[chain * outputs + a]), kLeastStd);
      const int64_t column = agent.action_columns[a];
      // the place of an action holds its noise until here
      for (int64_t k = 0; k < count; ++k) {
        T& action = actions[k * kActions + column];
        action = means[k * outputs + a] + std * action;
      }
    }
  }

  void move(int64_t time) {
    for (int64_t k = 0; k < count; ++k) {
      T& reward = r.rewards[row(time) + k];
      int64_t& diverged = r.diverged[chain * r.trajectories + first + k];
      reward = 0;
      if (diverged >= 0) continue;
      write_state(states[k], data);
      const StepResult step = control_step(model, data, r.actions + (row(time) + k) * kActions, r.frame_skip);
      if (step.fault) {
        diverged = time;
        continue;
      }
      states[k] = read_state(data);
      reward = static_cast<T>(r.reward_scale * (r.direction * step.forward - r.control_cost * step.control));
    }
  }

  void play(char* memory, const int64_t* offsets) {
    for (size_t a = 0; a < r.agents.size(); ++a) kernels.start(r.agents[a].network, chain, memory + offsets[a]);
    begin();
    const int64_t seed = r.keys[2 * chain], stream = r.keys[2 * chain + 1];
    for (int64_t time = 0; time < r.horizon; ++time) {
      look(time);
      for (int64_t k = 0; k < count; ++k) {
        draw_noise(seed, stream, time, first + k, r.actions + (row(time) + k) * kActions);
      }
      for (size_t a = 0; a < r.agents.size(); ++a) act(r.agents[a], memory + offsets[a], time);
      move(time);
    }
  }
};

template <class T>
struct Call {
  const Rollout<T>& rollout;
  const DenseNetworkKernels<T>& kernels;
  int64_t offsets[kActions + 1];  // of each agent's memory, and their end
};

template <class T>
void play_task(const mjModel* model, mjData* data, int task, void* argument) {
  const Call<T>& call = *static_cast<const Call<T>*>(argument);
  const Rollout<T>& r = call.rollout;
  const int64_t blocks = num_blocks(r.trajectories), first = task % blocks * kTrajectoryBlock;
  char* memory = thread_memory(call.offsets[r.agents.size()]);
  if (!memory) mju_error("no memory for a block of trajectories");
  Block<T> block = {.r = r,
                    .kernels = call.kernels,
                    .model = model,
                    .data = data,
                    .chain = task / blocks,
                    .first = first,
                    .count = std::min(kTrajectoryBlock, r.trajectories - first),
                    .states = {},
                    .seen = {},
                    .means = {}};
  block.play(memory, call.offsets);
}

}  // namespace

template <class T>
void roll_out(const mjModel* model, const Rollout<T>& rollout, const DenseNetworkKernels<T>& kernels, int num_threads) {
  const int tasks = static_cast<int>(rollout.chains * num_blocks(rollout.trajectories));
  if (tasks == 0) return;
  Call<T> call = {rollout, kernels, {}};
  for (size_t a = 0; a < rollout.agents.size(); ++a) {
    call.offsets[a + 1] = call.offsets[a] + (kernels.scratch(rollout.agents[a].network) + 63) / 64 * 64;
  }
  mjBatchConfig config;
  mjb_defaultConfig(&config);
  config.nthread = std::min(num_threads, tasks);
  config.persistent = 0;
  char error[1024] = "";
  // one "simulation" a block: the batch lends its threads, their mjData and its way with errors
  const std::unique_ptr<mjBatch, decltype(&mjb_deleteBatch)> batch(
      mjb_makeBatch(model, tasks, &config, error, sizeof(error)), mjb_deleteBatch);
  if (!batch) throw std::runtime_error(std::string("MuJoCo cannot make the batch: ") + error);
  if (mjb_apply(batch.get(), nullptr, tasks, play_task<T>, &call, 0) == 0) return;
  for (int task = 0; task < tasks; ++task) {
    if (mjb_status(batch.get())[task]) {
      throw std::runtime_error(std::string("MuJoCo stopped a rollout: ") + mjb_error(batch.get(), task));
    }
  }
}

template void roll_out(const mjModel*, const Rollout<float>&, const DenseNetworkKernels<float>&, int);
template void roll_out(const mjModel*, const Rollout<double>&, const DenseNetworkKernels<double>&, int);

}  // namespace mamrl::half_cheetah
