// The coin game as environments: checks. The loops are in csrc/cpu/simd/coin_game.cpp.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "common/check.h"
#include "common/coin_game.h"
#include "cpu/columns.h"
#include "cpu/environments.h"
#include "cpu/memory.h"
#include "cpu/simd.h"
#include "direct.h"

namespace mamrl {
namespace {

void check_rule(const char* name, int64_t value, int64_t least, int64_t most) {
  MAMRL_CHECK(value >= least && value <= most, "rules has a ", name, " of ", value, ", expected ", least, " to ", most);
}

CoinRules coin_rules(const std::vector<int64_t>& given) {
  MAMRL_CHECK(static_cast<int64_t>(given.size()) == kCoinRuleFields, "rules has ", given.size(),
              " numbers, expected the ", kCoinRuleFields, " of mamrl.games.coin_game.CoinGame.rules()");
  check_rule("height", given[0], 2, kLargestSide);
  check_rule("width", given[1], 2, kLargestSide);
  check_rule("number of coins", given[2], 1, 2);
  check_rule("number of actions", given[3], 1, kMostMoves);
  for (int64_t action = 0; action < given[3]; ++action) {
    for (int64_t steps : {given[4], given[5]}) check_rule("move", (steps >> (2 * action)) & 3, 0, 2);
  }
  for (size_t i = 6; i < given.size(); ++i) check_rule("switch", given[i], 0, 1);
  return {static_cast<int32_t>(given[0]),
          static_cast<int32_t>(given[1]),
          static_cast<int32_t>(given[2]),
          static_cast<int32_t>(given[3]),
          static_cast<uint32_t>(given[4]),
          static_cast<uint32_t>(given[5]),
          given[6] != 0,
          given[7] != 0,
          given[8] != 0,
          given[9] != 0,
          given[10] != 0};
}

// Positions are bytes in four dimensions, planes either dtype in six.
CoinView check_observations(const char* name, const Tensor& t, const CoinRules& rules, int64_t horizon,
                            int64_t columns) {
  const bool bytes = t.scalar_type() == ScalarType::Byte;
  MAMRL_CHECK_TYPE(bytes || t.scalar_type() == ScalarType::Float, name, " is ", dtype_text(t.scalar_type()),
                   ", expected torch.uint8 or, of planes, torch.float32");
  if (bytes && t.dim() == 4) {
    check_output(name, t, ScalarType::Byte, {2, horizon, columns, 4});
    return CoinView::kPositions;
  }
  check_output(name, t, t.scalar_type(), {2, horizon, columns, 4, rules.height, rules.width});
  return bytes ? CoinView::kBytePlanes : CoinView::kFloatPlanes;
}

void check_per_environment(const char* name, const Tensor& t, ScalarType dtype, int64_t columns) {
  MAMRL_CHECK_TYPE(t.scalar_type() == dtype, name, " is ", dtype_text(t.scalar_type()), ", expected ",
                   dtype_text(dtype));
  check_shape(name, t, {columns});
}

void check_state_range(const CoinRules& rules, const Tensor& state) {
  const uint8_t* values = state.const_data_ptr<uint8_t>();
  for (int64_t i = 0; i < state.numel(); ++i) {
    const int64_t size = i % 4 == 3 && rules.coins == 1 ? 2 : rules.cells();
    MAMRL_CHECK(values[i] < size, "state holds ", int64_t{values[i]}, " in environment ", i / 4, ", expected below ",
                size);
  }
}

template <class Index>
void play(CoinColumns<Index> op, const Tensor& state, const Tensor& actions, const Tensor& elapsed) {
  op.actions = actions.const_data_ptr<Index>();
  std::atomic<bool> in_range{true};
  // the work of a step is that of a dozen elements of other recursions
  for_column_blocks(op.horizon * 12, op.columns, kCoinColumns, [&](int64_t begin, int64_t end) {
    bool good;
    if constexpr (sizeof(Index) == 1) {
      good = simd_kernels<float>().coin_steps_small(op, begin, end);
    } else {
      good = simd_kernels<float>().coin_steps(op, begin, end);
    }
    if (!good) in_range.store(false, std::memory_order_relaxed);
  });
  if (in_range.load()) return;
  check_state_range(op.rules, state);
  check_elapsed(elapsed, op.horizon, op.length, op.most_elapsed(), op.autoreset);
  const int64_t count = op.horizon * op.columns, first = first_outside(op.actions, 2 * count, op.rules.num_actions);
  MAMRL_CHECK(first == 2 * count, "actions holds ", int64_t{op.actions[first]}, " for player ", first / count,
              " in environment ", first % op.columns, ", expected at least 0 and below ", op.rules.num_actions);
}

void coin_game_steps(std::vector<int64_t> rules_, const Tensor& state_, const Tensor& actions_, const Tensor& elapsed_,
                     const Tensor& seeds_, const Tensor& clocks_, int64_t length, std::string autoreset_name,
                     Tensor observations, Tensor final_observations, Tensor rewards, Tensor truncations, Tensor after,
                     Tensor elapsed_after, Tensor clocks_after) {
  const CoinRules rules = coin_rules(rules_);
  check_index_dtype("actions", actions_);
  MAMRL_CHECK(actions_.dim() == 3 && actions_.size(0) == 2, "actions has shape ", shape_text(actions_),
              ", expected (2, T, E)");
  const int64_t horizon = actions_.size(1), columns = actions_.size(2);
  MAMRL_CHECK_TYPE(state_.scalar_type() == ScalarType::Byte, "state is ", dtype_text(state_.scalar_type()),
                   ", expected torch.uint8");
  check_shape("state", state_, {columns, 4});
  check_per_environment("elapsed", elapsed_, ScalarType::Int, columns);
  check_per_environment("seeds", seeds_, ScalarType::Long, columns);
  check_per_environment("clocks", clocks_, ScalarType::Long, columns);
  MAMRL_CHECK(length >= 0 && length <= kLongestEpisode, "episode_length is ", length, ", expected 0 to 2^31 - 2");
  const Autoreset autoreset = autoreset_named(autoreset_name);
  const Tensor state = row_major(state_), actions = row_major(actions_), elapsed = row_major(elapsed_);
  const Tensor seeds = row_major(seeds_), clocks = row_major(clocks_);
  const CoinView view = check_observations("observations", observations, rules, horizon, columns);
  const bool keeps_final = autoreset == Autoreset::kSameStep;
  if (keeps_final) {
    const CoinView final_view = check_observations("final_observations", final_observations, rules, horizon, columns);
    MAMRL_CHECK(final_view == view, "final_observations is of another kind, expected that of observations");
  }
  check_output("rewards", rewards, ScalarType::Float, {2, horizon, columns});
  check_output("truncations", truncations, ScalarType::Bool, {horizon, columns});
  check_output("state_after", after, ScalarType::Byte, {columns, 4});
  check_output("elapsed_after", elapsed_after, ScalarType::Int, {columns});
  check_output("clocks_after", clocks_after, ScalarType::Long, {columns});
  for (const Tensor* large : {&observations, &final_observations, &rewards}) {
    prefer_huge_pages(large->data_ptr(), large->numel() * large->element_size());
  }
  const int32_t* counts = elapsed.const_data_ptr<int32_t>();
  std::copy(counts, counts + columns, elapsed_after.mutable_data_ptr<int32_t>());
  const int64_t* ticks = clocks.const_data_ptr<int64_t>();
  std::copy(ticks, ticks + columns, clocks_after.mutable_data_ptr<int64_t>());
  dispatch_index(actions, [&]<class Index>() {
    CoinColumns<Index> op{};
    op.rules = rules;
    op.horizon = horizon;
    op.columns = columns;
    op.state = state.const_data_ptr<uint8_t>();
    op.seeds = seeds.const_data_ptr<int64_t>();
    op.view = view;
    op.observations = static_cast<char*>(observations.mutable_data_ptr());
    op.final_observations = keeps_final ? static_cast<char*>(final_observations.mutable_data_ptr()) : nullptr;
    op.rewards = rewards.mutable_data_ptr<float>();
    op.truncations = truncations.mutable_data_ptr<bool>();
    op.state_after = after.mutable_data_ptr<uint8_t>();
    op.elapsed = elapsed_after.mutable_data_ptr<int32_t>();
    op.clocks = clocks_after.mutable_data_ptr<int64_t>();
    op.length = static_cast<int32_t>(length);
    op.autoreset = autoreset;
    play<Index>(op, state, actions, elapsed);
  });
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) { MAMRL_CPU_OP(m, coin_game_steps, mamrl::coin_game_steps); }
