// Rollouts of matrix games: a block of trajectories of one chain goes through all of time, networks, draws
// and game together.
#include "common/matrix_game.h"
#include "common/philox.h"
#include "common/rollout_kernels.h"
#include "cpu/simd/lstm_step.h"

namespace mamrl::MAMRL_SIMD {

constexpr int64_t kMostNetworks = 2 * kMostPlayers;

template <class T>
struct NetworkScratch {
  ForwardNetwork<T> net;
  GateRows<T, kLstmGates> rows;
  __attribute__((always_inline)) NetworkScratch(Arena& arena, const LstmShape& s) : net(arena, s), rows(arena, s) {}
};

template <class T>
struct RolloutScratch {
  NetworkScratch<T>* networks;
  T* cumulated[kMostPlayers];  // of a tabular player (S, A), of an LSTM (block, A)
  int64_t* states;             // (n, block)
  int64_t* actions;            // (n, block)
  uint32_t* words;             // (n rounded up to whole draws, block)

  __attribute__((always_inline)) RolloutScratch(Arena& arena, const Rollout<T>& op) {
    networks = arena.take<NetworkScratch<T>>(op.num_networks);
    for (int64_t i = 0; i < op.num_networks; ++i) {
      // a counting arena has no memory to keep the networks in
      const NetworkScratch<T> network(arena, op.networks[i].shape);
      if (arena.base) networks[i] = network;
    }
    for (int64_t p = 0; p < op.players; ++p) {
      const int64_t rows = op.logits[p] ? op.joint_actions + 1 : kTrajectoryBlock;
      // whole registers, since exp runs over them
      cumulated[p] = arena.take<T>(rows * op.actions[p] + kLanes<T>);
    }
    states = arena.take<int64_t>(op.players * kTrajectoryBlock);
    actions = arena.take<int64_t>(op.players * kTrajectoryBlock);
    words =
        arena.take<uint32_t>((op.players + kPlayersPerDraw - 1) / kPlayersPerDraw * kPlayersPerDraw * kTrajectoryBlock);
  }
};

template <class T>
int64_t rollout_scratch(const Rollout<T>& op) {
  Arena counter{nullptr};
  RolloutScratch<T> scratch(counter, op);
  return counter.used;
}

// logits (rows, A) -> cumulated unnormalised probabilities, in place
template <class T>
static void cumulate(T* rows, int64_t count, int64_t actions) {
  for (int64_t r = 0; r < count; ++r) {
    T* row = rows + r * actions;
    T most = row[0];
    for (int64_t a = 1; a < actions; ++a) most = row[a] > most ? row[a] : most;
    for (int64_t a = 0; a < actions; ++a) row[a] -= most;
  }
  for (int64_t i = 0; i < count * actions; i += kLanes<T>) store(rows + i, exp(load(rows + i)));
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t a = 1; a < actions; ++a) rows[r * actions + a] += rows[r * actions + a - 1];
  }
}

template <class T>
static void set_chain(const Rollout<T>& op, RolloutScratch<T>& s, int64_t chain) {
  for (int64_t i = 0; i < op.num_networks; ++i) {
    s.networks[i].net.set_chain(op.networks[i].weights, chain);
    s.networks[i].rows.set_chain(op.networks[i].shape, op.networks[i].weights, chain);
  }
  for (int64_t p = 0; p < op.players; ++p) {
    if (!op.logits[p]) continue;
    const int64_t rows = op.joint_actions + 1, size = rows * op.actions[p];
    fill_zero(s.cumulated[p] + size, kLanes<T>);
    copy(s.cumulated[p], op.logits[p] + chain * size, size);
    cumulate(s.cumulated[p], rows, op.actions[p]);
  }
}

static void draw_words(uint32_t* words, int64_t players, int64_t seed, int64_t stream, int64_t time, int64_t first,
                       int64_t count) {
  for (int64_t group = 0; group * kPlayersPerDraw < players; ++group) {
    uint32_t* to = words + group * kPlayersPerDraw * kTrajectoryBlock;
    for (int64_t k = 0; k < count; ++k) {
      const PhiloxWords drawn = action_words(seed, stream, time, first + k, group);
      for (int64_t w = 0; w < kPlayersPerDraw; ++w) to[w * kTrajectoryBlock + k] = drawn.word[w];
    }
  }
}

// Every player's next action, at the states in hand.
template <class T>
static void act(const Rollout<T>& op, RolloutScratch<T>& s, int64_t index, int64_t count) {
  for (int64_t i = 0; i < op.num_networks; ++i) {
    const RolloutNetwork<T>& network = op.networks[i];
    NetworkScratch<T>& scratch = s.networks[i];
    const int64_t row = 4 * scratch.net.padded;
    for (int64_t k = 0; k < count; ++k) {
      scratch.rows.at[k] = scratch.rows.table + s.states[network.player * kTrajectoryBlock + k] * row;
    }
    T* outputs = network.outputs + index * network.shape.outputs;
    const int64_t saved_row = 5 * scratch.net.padded, step = op.chains * op.trajectories;
    T* saved = network.saved ? network.saved + index * saved_row : nullptr;
    forward_step(scratch.net, scratch.rows.at, count, outputs, saved,
                 saved && index + step < op.horizon * step ? saved + step * saved_row : nullptr);
    if (network.policy) {
      const int64_t actions = network.shape.outputs;
      copy(s.cumulated[network.player], outputs, count * actions);
      cumulate(s.cumulated[network.player], count, actions);
    }
  }
  for (int64_t p = 0; p < op.players; ++p) {
    for (int64_t k = 0; k < count; ++k) {
      const int64_t row = op.logits[p] ? s.states[p * kTrajectoryBlock + k] : k;
      s.actions[p * kTrajectoryBlock + k] =
          draw(s.cumulated[p] + row * op.actions[p], op.actions[p], unit_uniform<T>(s.words[p * kTrajectoryBlock + k]));
    }
  }
}

// Writes the step down and moves every player to its next state.
template <class T>
static void advance(const Rollout<T>& op, RolloutScratch<T>& s, int64_t index, int64_t count) {
  const int64_t player_stride = op.horizon * op.chains * op.trajectories;
  for (int64_t p = 0; p < op.players; ++p) {
    copy(op.states + p * player_stride + index, s.states + p * kTrajectoryBlock, count);
    copy(op.joint + p * player_stride + index, s.actions + p * kTrajectoryBlock, count);
  }
  for (int64_t k = 0; k < count; ++k) {
    const int64_t payoff = payoff_index(s.actions + k, kTrajectoryBlock, op.actions, op.players);
    for (int64_t p = 0; p < op.players; ++p) {
      op.rewards[p * player_stride + index + k] = op.payoffs[p * op.joint_actions + payoff];
      s.states[p * kTrajectoryBlock + k] = joint_state(s.actions + k, kTrajectoryBlock, op.actions, op.players, p);
    }
  }
}

template <class T>
void rollout(const Rollout<T>& op, int64_t first_task, int64_t last_task, char* memory) {
  Arena arena{memory};
  RolloutScratch<T> scratch(arena, op);
  const LstmShape shape = {op.horizon, op.chains, op.trajectories, 0, 0, 0};
  int64_t packed_chain = -1;
  for (int64_t task = first_task; task < last_task; ++task) {
    for_each_block(shape, task, [&](int64_t chain, int64_t first, int64_t count) __attribute__((always_inline)) {
      if (chain != packed_chain) {
        set_chain(op, scratch, chain);
        packed_chain = chain;
      }
      for (int64_t i = 0; i < op.num_networks; ++i) scratch.networks[i].net.reset();
      fill_zero(scratch.states, op.players * kTrajectoryBlock);
      for (int64_t t = 0; t < op.horizon; ++t) {
        const int64_t index = (t * op.chains + chain) * op.trajectories + first;
        draw_words(scratch.words, op.players, op.keys[2 * chain], op.keys[2 * chain + 1], t, first, count);
        act(op, scratch, index, count);
        advance(op, scratch, index, count);
      }
    });
  }
}

template int64_t rollout_scratch<float>(const Rollout<float>&);
template int64_t rollout_scratch<double>(const Rollout<double>&);
template void rollout<float>(const Rollout<float>&, int64_t, int64_t, char*);
template void rollout<double>(const Rollout<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
