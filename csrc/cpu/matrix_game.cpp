// Matrix games as environments: checks and allocation. The loops are in csrc/cpu/simd/matrix_game.cpp.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "common/check.h"
#include "common/table.h"
#include "cpu/columns.h"
#include "cpu/device.h"
#include "cpu/environments.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"
#include "direct.h"

namespace mamrl {
namespace {

template <class Index>
void check_below(const char* name, const Tensor& t, int64_t size) {
  const Index* values = t.const_data_ptr<Index>();
  const int64_t first = first_outside(values, t.numel(), size);
  MAMRL_CHECK(first == t.numel(), name, " holds ", int64_t{values[first]}, ", expected at least 0 and below ", size);
}

// Runs a kernel that says whether all that it read was in range.
template <class Op, class Kernel>
bool all_in_range(const Op& op, int64_t rows, Kernel kernel) {
  std::atomic<bool> in_range{true};
  for_column_blocks(rows, op.columns, kColumnBlock, [&](int64_t begin, int64_t end) {
    if (!kernel(op, begin, end)) in_range.store(false, std::memory_order_relaxed);
  });
  return in_range.load();
}

template <class T>
bool run(const GameColumns<T, uint8_t>& op) {
  return all_in_range(op, op.horizon * op.players, simd_kernels<T>().game_steps_small);
}

template <class T>
bool run(const GameColumns<T, int64_t>& op) {
  return all_in_range(op, op.horizon * op.players, simd_kernels<T>().game_steps);
}

template <class T>
bool run(const TabularColumns<T, uint8_t>& op) {
  return all_in_range(op, 1, simd_kernels<T>().tabular_actions_small);
}

template <class T>
bool run(const TabularColumns<T, int64_t>& op) {
  return all_in_range(op, 1, simd_kernels<T>().tabular_actions);
}

void matrix_game_steps(const Tensor& payoffs_, const Tensor& actions_, const Tensor& elapsed_, int64_t length,
                       std::string autoreset_name, Tensor states, Tensor final_states, Tensor rewards,
                       Tensor truncations, Tensor after) {
  check_floating("payoffs", payoffs_);
  const int64_t players = payoffs_.dim() > 0 ? payoffs_.size(0) : 0;
  MAMRL_CHECK(players >= 1 && players <= kMostPlayers && payoffs_.dim() == players + 1 && payoffs_.numel() > 0,
              "payoffs has shape ", shape_text(payoffs_), ", expected (n, A_1, ..., A_n) with n from 1 to ",
              kMostPlayers);
  check_index_dtype("actions", actions_);
  MAMRL_CHECK(actions_.dim() == 3 && actions_.size(0) == players, "actions has shape ", shape_text(actions_),
              ", expected (n, T, E) with n = ", players, " as payoffs");
  const int64_t horizon = actions_.size(1), columns = actions_.size(2), joint_actions = payoffs_.numel() / players;
  MAMRL_CHECK(actions_.scalar_type() == ScalarType::Long || joint_actions < 256,
              "actions is torch.uint8, which cannot hold the ", joint_actions + 1,
              " states of this game; expected torch.int64");
  MAMRL_CHECK_TYPE(elapsed_.scalar_type() == ScalarType::Int, "elapsed is ", dtype_text(elapsed_.scalar_type()),
                   ", expected torch.int32");
  check_shape("elapsed", elapsed_, {columns});
  MAMRL_CHECK(length >= 0 && length <= kLongestEpisode, "episode_length is ", length, ", expected 0 to 2^31 - 2");
  const Autoreset autoreset = autoreset_named(autoreset_name);
  const Tensor payoffs = row_major(payoffs_), actions = row_major(actions_), elapsed = row_major(elapsed_);
  const bool keeps_final = autoreset == Autoreset::kSameStep;
  check_output("states", states, actions.scalar_type(), {players, horizon, columns});
  if (keeps_final) check_output("final_states", final_states, actions.scalar_type(), {players, horizon, columns});
  check_output("rewards", rewards, payoffs.scalar_type(), {players, horizon, columns});
  check_output("truncations", truncations, ScalarType::Bool, {horizon, columns});
  check_output("elapsed_after", after, ScalarType::Int, {columns});
  for (const Tensor* large : {&states, &final_states, &rewards}) {
    prefer_huge_pages(large->data_ptr(), large->numel() * large->element_size());
  }
  const int32_t* counts = elapsed.const_data_ptr<int32_t>();
  std::copy(counts, counts + columns, after.mutable_data_ptr<int32_t>());
  dispatch_floating(payoffs, [&]<class T>() {
    dispatch_index(actions, [&]<class Index>() {
      GameColumns<T, Index> op{};
      op.players = players;
      op.horizon = horizon;
      op.columns = columns;
      for (int64_t p = 0; p < players; ++p) op.action_counts[p] = payoffs.size(p + 1);
      op.joint_actions = joint_actions;
      op.payoffs = payoffs.const_data_ptr<T>();
      op.actions = actions.const_data_ptr<Index>();
      op.states = states.mutable_data_ptr<Index>();
      op.final_states = keeps_final ? final_states.mutable_data_ptr<Index>() : nullptr;
      op.rewards = rewards.mutable_data_ptr<T>();
      op.truncations = truncations.mutable_data_ptr<bool>();
      op.elapsed = after.mutable_data_ptr<int32_t>();
      op.length = static_cast<int32_t>(length);
      op.autoreset = autoreset;
      if (run(op)) return;
      check_elapsed(elapsed, horizon, length, op.most_elapsed(), autoreset);
      for (int64_t p = 0; p < players; ++p) {
        const Index* own = op.actions + p * horizon * columns;
        const int64_t first = first_outside(own, horizon * columns, op.action_counts[p]);
        MAMRL_CHECK(first == horizon * columns, "actions holds ", int64_t{own[first]}, " for player ", p,
                    " in environment ", first % columns, ", expected at least 0 and below ", op.action_counts[p]);
      }
    });
  });
}

// actions: memory for the results, as the states
void draw_tabular_actions(const Tensor& probabilities_, const Tensor& states_, const std::optional<Tensor>& rows_,
                          const std::optional<Tensor>& seeds_, const std::optional<Tensor>& clocks_, int64_t player,
                          void* actions) {
  check_floating("probabilities", probabilities_);
  MAMRL_CHECK(probabilities_.dim() == 3 && probabilities_.numel() > 0, "probabilities has shape ",
              shape_text(probabilities_), ", expected (R, S, A) with none of them 0");
  check_index_dtype("states", states_);
  MAMRL_CHECK(states_.dim() == 1, "states has shape ", shape_text(states_), ", expected (E,)");
  MAMRL_CHECK(player >= 0 && player < kMostPlayers, "player is ", player, ", expected 0 to ", kMostPlayers - 1);
  MAMRL_CHECK(seeds_.has_value() == clocks_.has_value(),
              "one of seeds and clocks is missing, expected both, or neither where nothing is random");
  for (const auto& [name, tensor] :
       {std::pair{"rows", &rows_}, std::pair{"seeds", &seeds_}, std::pair{"clocks", &clocks_}}) {
    if (!*tensor) continue;
    check_dtype(name, **tensor, ScalarType::Long, "an index");
    check_shape(name, **tensor, {states_.size(0)});
  }
  const Tensor probabilities = row_major(probabilities_), states = row_major(states_);
  const auto rows = row_major(rows_), seeds = row_major(seeds_), clocks = row_major(clocks_);
  dispatch_floating(probabilities, [&]<class T>() {
    dispatch_index(states, [&]<class Index>() {
      TabularColumns<T, Index> op{};
      op.columns = states.size(0);
      op.num_rows = probabilities.size(0);
      op.num_states = probabilities.size(1);
      op.num_actions = probabilities.size(2);
      op.player = player;
      op.probabilities = probabilities.const_data_ptr<T>();
      op.states = states.const_data_ptr<Index>();
      op.rows = data_or_null<int64_t>(rows);
      op.seeds = data_or_null<int64_t>(seeds);
      op.clocks = data_or_null<int64_t>(clocks);
      op.actions = static_cast<Index*>(actions);
      if (run(op)) return;
      check_below<Index>("states", states, probabilities.size(1));
      if (rows) check_below<int64_t>("rows", *rows, probabilities.size(0));
    });
  });
}

Tensor tabular_actions(const Tensor& probabilities, const Tensor& states, const std::optional<Tensor>& rows,
                       const std::optional<Tensor>& seeds, const std::optional<Tensor>& clocks, int64_t player) {
  check_index_dtype("states", states);
  const Tensor actions = new_like(Cpu(), states);
  draw_tabular_actions(probabilities, states, rows, seeds, clocks, player, actions.mutable_data_ptr());
  return actions;
}

// The first player's actions come wide, and so goes what it sees; between, everything is a byte.
void matrix_game_turn(const Tensor& payoffs, const Tensor& probabilities, const std::optional<Tensor>& rows,
                      const std::optional<Tensor>& seeds, const std::optional<Tensor>& clocks, const Tensor& actions_,
                      const Tensor& states_before, const Tensor& elapsed, int64_t length, std::string autoreset,
                      Tensor joint, Tensor states, Tensor final_states, Tensor rewards, Tensor truncations,
                      Tensor after, Tensor seen) {
  MAMRL_CHECK(payoffs.dim() == 3 && payoffs.size(0) == 2, "payoffs has shape ", shape_text(payoffs),
              ", expected (2, A_1, A_2)");
  MAMRL_CHECK(actions_.dim() == 1, "actions has shape ", shape_text(actions_), ", expected (E,)");
  check_dtype("actions", actions_, ScalarType::Long, "an index");
  const int64_t columns = actions_.size(0), count = payoffs.size(1);
  check_dtype("states_before", states_before, ScalarType::Byte, "small states");
  check_shape("states_before", states_before, {columns});
  MAMRL_CHECK(probabilities.dim() == 3 && probabilities.size(2) == payoffs.size(2), "probabilities has shape ",
              shape_text(probabilities), ", expected (R, S, ", payoffs.size(2), ")");
  check_output("joint", joint, ScalarType::Byte, {2, 1, columns});
  check_output("seen", seen, ScalarType::Long, {columns});

  const Tensor actions = row_major(actions_);
  const int64_t* given = actions.const_data_ptr<int64_t>();
  uint8_t* own = joint.mutable_data_ptr<uint8_t>();
  int64_t signs = 0;
  for (int64_t env = 0; env < columns; ++env) {
    signs |= outside(given[env], count);
    own[env] = static_cast<uint8_t>(given[env]);
  }
  if (signs < 0) {
    const int64_t first = first_outside(given, columns, count);
    MAMRL_CHECK(false, "actions holds ", given[first], " in environment ", first, ", expected at least 0 and below ",
                count);
  }
  draw_tabular_actions(probabilities, states_before, rows, seeds, clocks, 1, own + columns);
  matrix_game_steps(payoffs, joint, elapsed, length, std::move(autoreset), states, final_states, rewards, truncations,
                    after);
  const uint8_t* reached = states.const_data_ptr<uint8_t>();
  int64_t* wide = seen.mutable_data_ptr<int64_t>();
  for (int64_t env = 0; env < columns; ++env) wide[env] = reached[env];
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  MAMRL_CPU_OP(m, matrix_game_steps, mamrl::matrix_game_steps);
  MAMRL_CPU_OP(m, tabular_actions, mamrl::tabular_actions);
  MAMRL_CPU_OP(m, matrix_game_turn, mamrl::matrix_game_turn);
}
