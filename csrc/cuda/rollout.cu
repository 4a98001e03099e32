// Rollouts of matrix games: a block takes some trajectories of one chain through all of time, networks, draws and game
// together, without leaving the kernel.
#include "ops/rollout.h"

#include <torch/csrc/stable/library.h>

#include "common/matrix_game.h"
#include "common/philox.h"
#include "cuda/lstm_forward.h"

namespace mamrl {
namespace {

constexpr int64_t kMostNetworks = 2 * kMostPlayers;

// Rollout with its networks by value, as a kernel's argument must be.
template <class T>
struct RolloutArguments {
  Rollout<T> game;
  RolloutNetwork<T> networks[kMostNetworks];
  const T* packed[kMostNetworks];  // see pack_weights
  int32_t policy[kMostPlayers];    // which network acts for a player, where no table does
};

// A network in a block, with the outputs that actions are drawn from.
template <class T>
struct ActingNetwork {
  ForwardNetwork<T> net;
  T* logits;  // (block, A)
};

// A block's shared memory starts with the game's: states and actions, a row a player, and the networks.
template <class T>
struct BlockGame {
  int64_t *states, *actions;  // (n, kBlockTrajectories)
  ActingNetwork<T>* networks;

  __device__ BlockGame(char* memory, int64_t players)
      : states(reinterpret_cast<int64_t*>(memory)),
        actions(states + players * kBlockTrajectories),
        networks(reinterpret_cast<ActingNetwork<T>*>(actions + players * kBlockTrajectories)) {}

  static MAMRL_METHOD int64_t bytes(int64_t players, int64_t networks) {
    const int64_t size =
        2 * players * kBlockTrajectories * int64_t(sizeof(int64_t)) + networks * int64_t(sizeof(ActingNetwork<T>));
    return (size + 31) / 32 * 32;
  }
};

// Every network's next outputs, at the states in hand.
template <class T>
__device__ void step_networks(const RolloutArguments<T>& op, const BlockGame<T>& block, const BlockPlace& place,
                              int64_t t, int64_t index) {
  for (int64_t i = 0; i < op.game.num_networks; ++i) {
    const RolloutNetwork<T>& network = op.networks[i];
    const int64_t units = network.shape.units, rows = network.shape.rows;
    const T* const table = network.weights.gate_inputs + place.chain * rows * 4 * units;
    const int64_t* const states = block.states + network.player * kBlockTrajectories;
    const auto gate_inputs = [&](T(&gates)[4], int k, int64_t unit) {
      load_gate_row(gates, table + states[k] * 4 * units, units, unit);
    };
    T* const saved = network.saved ? network.saved + index * 5 * padded_units(units) : nullptr;
    block.networks[i].net.step(t, place.count, gate_inputs, saved);
  }
  __syncthreads();
  for (int64_t i = 0; i < op.game.num_networks; ++i) {
    const int64_t outputs = op.networks[i].shape.outputs;
    T *const to = op.networks[i].outputs + index * outputs, *const logits = block.networks[i].logits;
    block.networks[i].net.apply_head(t, place.count, [&](int64_t k, int64_t a, T y) {
      to[k * outputs + a] = y;
      logits[k * outputs + a] = y;
    });
  }
  __syncthreads();
}

// Every player's next action.
template <class T>
__device__ void act(const RolloutArguments<T>& op, const BlockGame<T>& block, const BlockPlace& place, int64_t t) {
  const Rollout<T>& game = op.game;
  const int64_t seed = game.keys[2 * place.chain], stream = game.keys[2 * place.chain + 1];
  for (int64_t item = threadIdx.x; item < game.players * place.count; item += blockDim.x) {
    const int64_t k = item % place.count, p = item / place.count, at = p * kBlockTrajectories + k;
    const int64_t actions = game.actions[p];
    const T* const logits = game.logits[p]
                                ? game.logits[p] + (place.chain * (game.joint_actions + 1) + block.states[at]) * actions
                                : block.networks[op.policy[p]].logits + k * actions;
    const PhiloxWords words = action_words(seed, stream, t, place.first + k, p / kPlayersPerDraw);
    block.actions[at] = draw_from_logits(logits, actions, unit_uniform<T>(words.word[p % kPlayersPerDraw]));
  }
  __syncthreads();
}

// Writes the step down and moves every player to its next state.
template <class T>
__device__ void advance(const Rollout<T>& game, const BlockGame<T>& block, const BlockPlace& place, int64_t index) {
  const int64_t player_stride = game.horizon * game.chains * game.trajectories;
  for (int64_t item = threadIdx.x; item < game.players * place.count; item += blockDim.x) {
    const int64_t k = item % place.count, p = item / place.count, at = p * kBlockTrajectories + k;
    const int64_t* const joint = block.actions + k;
    const int64_t to = p * player_stride + index + k;
    game.states[to] = block.states[at];
    game.joint[to] = block.actions[at];
    game.rewards[to] =
        game.payoffs[p * game.joint_actions + payoff_index(joint, kBlockTrajectories, game.actions, game.players)];
    block.states[at] = joint_state(joint, kBlockTrajectories, game.actions, game.players, p);
  }
  __syncthreads();
}

template <class T>
__global__ void __launch_bounds__(kThreads) rollout_kernel(RolloutArguments<T> op, BlockPlan plan) {
  const Rollout<T>& game = op.game;
  const LstmShape shape = {game.horizon, game.chains, game.trajectories, 0, 0, 0};
  const int64_t tasks = game.chains * plan.blocks(game.trajectories);
  char* const memory = shared_memory<char>();
  const BlockGame<T> block(memory, game.players);
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const BlockPlace place(shape, plan, task);
    SharedArrays<T> shared = {reinterpret_cast<T*>(memory + BlockGame<T>::bytes(game.players, game.num_networks))};
    for (int64_t i = 0; i < game.num_networks; ++i) {
      const RolloutNetwork<T>& network = op.networks[i];
      const ForwardNetwork<T> net(shared, plan, network.shape, network.weights, op.packed[i], place.chain);
      T* const logits = shared.take(round_to_four(network.shape.outputs) * plan.stride());
      if (threadIdx.x == 0) block.networks[i] = {net, logits};
    }
    fill_by_block(block.states, game.players * kBlockTrajectories, int64_t{0});
    __syncthreads();
    for (int64_t t = 0; t < game.horizon; ++t) {
      const int64_t index = place.index(shape, t);
      step_networks(op, block, place, t, index);
      act(op, block, place, t);
      advance(game, block, place, index);
    }
  }
}

struct Device : Gpu {
  using Gpu::Gpu;

  template <class T>
  void run(const Rollout<T>& game) const {
    RolloutArguments<T> op = {};
    op.game = game;
    op.game.networks = nullptr;
    LstmShape widest = {game.horizon, game.chains, game.trajectories, 16, 0, 0};
    int64_t rows = 0, weights = 0, others = 0;
    std::vector<Scratch<T>> packed;
    for (int64_t i = 0; i < game.num_networks; ++i) {
      const LstmShape& s = game.networks[i].shape;
      op.networks[i] = game.networks[i];
      packed.push_back(pack_weights<kLstmGates>(*this, game.networks[i].weights.recurrent, s));
      op.packed[i] = packed.back().data();
      if (game.networks[i].policy) op.policy[game.networks[i].player] = static_cast<int32_t>(i);
      rows += forward_rows(s) + round_to_four(s.outputs);
      weights += forward_weights(s);
      others += forward_others(s);
      widest.units = std::max(widest.units, s.units);
    }
    const BlockPlan plan = plan_block("matrix_game_rollout", widest, rows, weights, others, sizeof(T), most_shared(),
                                      BlockGame<T>::bytes(game.players, game.num_networks));
    launch(std::min(game.chains * plan.blocks(game.trajectories), kMostBlocks), plan.threads, plan.shared_bytes,
           rollout_kernel<T>, op, plan);
  }
};

}  // namespace
}  // namespace mamrl

MAMRL_CUDA_OPS(m) { m.impl("matrix_game_rollout", TORCH_BOX(&mamrl::matrix_game_rollout<mamrl::Device>)); }
