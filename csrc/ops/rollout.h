// Rollouts of matrix games at the boundary to torch: checks and allocation, for every device.
#pragma once

#include <vector>

#include "common/check.h"
#include "common/rollout_kernels.h"

namespace mamrl {

enum Kind : int64_t { kTabular = 0, kLstm = 1, kLstmWithValue = 2 };

constexpr int64_t num_tensors(int64_t kind) { return kind == kTabular ? 1 : kind == kLstm ? 4 : 8; }

// trajectories share a counter word with the group of players
constexpr int64_t kMostTrajectories = int64_t{1} << 24;

struct Game {
  int64_t players, chains, trajectories, horizon, joint_actions;
  ScalarType dtype;
};

inline Game check_game(const Tensor& payoffs, const std::vector<Tensor>& networks, const std::vector<int64_t>& kinds,
                       const Tensor& keys, int64_t trajectories, int64_t horizon) {
  check_floating("payoffs", payoffs);
  const int64_t players = payoffs.dim() > 0 ? payoffs.size(0) : 0;
  MAMRL_CHECK(players >= 1 && players <= kMostPlayers && payoffs.dim() == players + 1 && payoffs.numel() > 0,
              "payoffs has shape ", shape_text(payoffs), ", expected (n, A_1, ..., A_n) with n from 1 to ",
              kMostPlayers);
  MAMRL_CHECK(static_cast<int64_t>(kinds.size()) == players, "kinds has ", kinds.size(), " entries, expected ", players,
              ", one a player");
  int64_t expected = 0;
  for (int64_t kind : kinds) {
    MAMRL_CHECK(kind == kTabular || kind == kLstm || kind == kLstmWithValue, "kinds holds ", kind,
                ", expected 0 (tabular), 1 (LSTM) or 2 (LSTM with value network)");
    expected += num_tensors(kind);
  }
  MAMRL_CHECK(static_cast<int64_t>(networks.size()) == expected, "networks has ", networks.size(),
              " tensors, expected ", expected, " for these kinds");
  MAMRL_CHECK(keys.scalar_type() == ScalarType::Long && keys.dim() == 2 && keys.size(1) == 2,
              "keys must be int64 (M, 2), a seed and a stream for each chain");
  MAMRL_CHECK(trajectories >= 0 && trajectories < kMostTrajectories, "num_trajectories is ", trajectories,
              ", expected 0 to 2^24 - 1");
  MAMRL_CHECK(horizon >= 0 && horizon < (int64_t{1} << 32), "horizon is ", horizon, ", expected 0 to 2^32 - 1");
  return {players, keys.size(0), trajectories, horizon, payoffs.numel() / players, payoffs.scalar_type()};
}

// gate table, recurrent weight, head weight, head bias -> a network without states, which the game will give
template <class T>
RolloutNetwork<T> checked_network(const Game& game, const Tensor* tensors, int64_t player, int64_t outputs,
                                  bool policy) {
  const Tensor &table = tensors[0], &recurrent = tensors[1], &head = tensors[2], &bias = tensors[3];
  MAMRL_CHECK(recurrent.dim() == 3 && recurrent.size(2) > 0, "recurrent_weight has shape ", shape_text(recurrent),
              ", expected (M, 4N, N)");
  for (int i = 0; i < 4; ++i) check_dtype("a network's tensor", tensors[i], game.dtype);
  const int64_t units = recurrent.size(2), rows = game.joint_actions + 1;
  check_shape("gate_inputs", table, {game.chains, rows, 4 * units});
  check_shape("recurrent_weight", recurrent, {game.chains, 4 * units, units});
  check_shape("head_weight", head, {game.chains, outputs, units});
  check_shape("head_bias", bias, {game.chains, outputs});
  RolloutNetwork<T> network{};
  network.shape = {game.horizon, game.chains, game.trajectories, units, outputs, rows};
  network.weights = {table.const_data_ptr<T>(), nullptr, recurrent.const_data_ptr<T>(), head.const_data_ptr<T>(),
                     bias.const_data_ptr<T>()};
  network.player = player;
  network.policy = policy;
  return network;
}

template <class T, class Device>
std::vector<Tensor> run_game(const Device& device, const Game& game, const Tensor& payoffs,
                             const std::vector<Tensor>& networks, const std::vector<int64_t>& kinds, const Tensor& keys,
                             bool record) {
  const std::vector<int64_t> size = {game.players, game.horizon, game.chains, game.trajectories};
  std::vector<Tensor> result = {new_tensor(device, keys, size), new_tensor(device, keys, size),
                                new_tensor(device, payoffs, size)};
  Rollout<T> op{};
  op.players = game.players;
  op.horizon = game.horizon;
  op.chains = game.chains;
  op.trajectories = game.trajectories;
  op.joint_actions = game.joint_actions;
  op.payoffs = payoffs.const_data_ptr<T>();
  op.keys = keys.const_data_ptr<int64_t>();
  std::vector<RolloutNetwork<T>> lstms;
  const Tensor* tensors = networks.data();
  for (int64_t p = 0; p < game.players; ++p) {
    op.actions[p] = payoffs.size(p + 1);
    if (kinds[p] == kTabular) {
      check_dtype("a tabular player's logits", *tensors, game.dtype);
      check_shape("a tabular player's logits", *tensors, {game.chains, game.joint_actions + 1, op.actions[p]});
      op.logits[p] = tensors->const_data_ptr<T>();
    } else {
      lstms.push_back(checked_network<T>(game, tensors, p, op.actions[p], true));
      if (kinds[p] == kLstmWithValue) lstms.push_back(checked_network<T>(game, tensors + 4, p, 1, false));
    }
    tensors += num_tensors(kinds[p]);
  }
  for (RolloutNetwork<T>& network : lstms) {
    const LstmShape& s = network.shape;
    Tensor outputs = new_tensor(device, payoffs, {s.horizon, s.chains, s.trajectories, s.outputs});
    network.outputs = outputs.mutable_data_ptr<T>();
    Tensor saved = record ? new_tensor(device, payoffs, {s.horizon, s.chains, s.trajectories, 5, padded_units(s.units)})
                          : new_tensor(device, payoffs, {0});
    network.saved = record ? saved.mutable_data_ptr<T>() : nullptr;
    result.push_back(outputs);
    result.push_back(saved);
  }
  if (game.horizon * game.chains * game.trajectories == 0) return result;
  op.networks = lstms.data();
  op.num_networks = static_cast<int64_t>(lstms.size());
  op.states = result[0].mutable_data_ptr<int64_t>();
  op.joint = result[1].mutable_data_ptr<int64_t>();
  op.rewards = result[2].mutable_data_ptr<T>();
  device.run(op);
  return result;
}

template <class Device>
std::vector<Tensor> matrix_game_rollout(const Tensor& payoffs_, std::vector<Tensor> networks,
                                        std::vector<int64_t> kinds, const Tensor& keys_, int64_t num_trajectories,
                                        int64_t horizon, bool record) {
  const Game game = check_game(payoffs_, networks, kinds, keys_, num_trajectories, horizon);
  const Tensor payoffs = row_major(payoffs_), keys = row_major(keys_);
  std::vector<const Tensor*> on_one_device = {&payoffs, &keys};
  for (Tensor& tensor : networks) {
    tensor = row_major(tensor);
    on_one_device.push_back(&tensor);
  }
  const Device device(on_one_device);
  return dispatch_floating(
      payoffs, [&]<class T>() { return run_game<T>(device, game, payoffs, networks, kinds, keys, record); });
}

}  // namespace mamrl
