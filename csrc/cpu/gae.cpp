// Advantages and returns: recursions backwards over time, vectorised over the trailing batch.
#include "common/gae.h"

#include <torch/csrc/stable/library.h>

#include "common/check.h"

namespace mamrl {
namespace {

// columns a thread takes at a time: one row of a block stays in L1 while time runs backwards
constexpr int64_t kBlock = 256;

template <class T>
void gae_columns(const T* rewards, const T* values, const T* next_values, const bool* terminations,
                 const bool* truncations, T* advantages, int64_t horizon, int64_t batch, int64_t begin,
                 int64_t end, T discount, T discount_lambda) {
  for (int64_t t = horizon - 1; t >= 0; --t) {
    const int64_t row = t * batch;
    const T* carried = t + 1 < horizon ? advantages + row + batch : nullptr;
    for (int64_t b = begin; b < end; ++b) {
      const int64_t i = row + b;
      advantages[i] = gae_step<T>(rewards[i], values[i], next_values[i], carried ? carried[b] : T(0),
                                  terminations && terminations[i], truncations && truncations[i], discount,
                                  discount_lambda);
    }
  }
}

Tensor gae(const Tensor& rewards_, const Tensor& values_, const Tensor& next_values_,
           const std::optional<Tensor>& terminations_, const std::optional<Tensor>& truncations_,
           double discount, double gae_lambda) {
  const Tensor rewards = row_major(rewards_), values = row_major(values_),
               next_values = row_major(next_values_);
  const auto terminations = row_major(terminations_), truncations = row_major(truncations_);
  check_floating("rewards", rewards);
  check_dtype("values", values, rewards.scalar_type());
  check_dtype("next_values", next_values, rewards.scalar_type());
  MAMRL_CHECK(values.numel() == rewards.numel() && next_values.numel() == rewards.numel(),
              "values and next_values must have the shape of rewards");
  Tensor advantages = torch::stable::empty_like(rewards);
  if (rewards.numel() == 0) return advantages;
  const int64_t horizon = rewards.size(0), batch = rewards.numel() / horizon;
  dispatch_floating(rewards, [&]<class T>() {
    const T* r = rewards.const_data_ptr<T>();
    const T* v = values.const_data_ptr<T>();
    const T* next = next_values.const_data_ptr<T>();
    const bool* terminated = data_or_null<bool>(terminations);
    const bool* truncated = data_or_null<bool>(truncations);
    T* out = advantages.mutable_data_ptr<T>();
    const int64_t blocks = (batch + kBlock - 1) / kBlock;
    torch::stable::parallel_for(0, blocks, 16, [&](int64_t first, int64_t last) {
      gae_columns<T>(r, v, next, terminated, truncated, out, horizon, batch, first * kBlock,
                     last * kBlock < batch ? last * kBlock : batch, T(discount), T(discount * gae_lambda));
    });
  });
  return advantages;
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) { m.impl("gae", TORCH_BOX(&mamrl::gae)); }
