// The GRU with its output layer on the GPU: one kernel a pass over all of time, each block with a chain's weights.
#include "ops/gru.h"

#include <torch/csrc/stable/library.h>

#include "cuda/gru_contract.h"
#include "cuda/gru_double_backward.h"
#include "cuda/gru_forward.h"
#include "cuda/recurrent_launch.h"

namespace mamrl {
namespace {

struct Device : RecurrentGpu {
  using RecurrentGpu::RecurrentGpu;

  template <class T>
  void run(const RecurrentForward<T>& op, const Tensor&) const {
    const RecurrentShape& s = op.shape;
    const BlockPlan plan = plan_block("gru", s, gru_forward_rows(s), gru_forward_weights(s), gru_forward_others(s),
                                      sizeof(T), most_shared());
    const auto packed = pack_weights<kGruGates>(*this, op.weights.recurrent, s);
    launch_blocks(s, plan, gru_forward_kernel<T>, op, plan, packed.data());
  }

  template <class T>
  void run(const RecurrentBackward<T>& op, const Tensor&) const {
    const RecurrentShape& s = op.shape;
    const BlockPlan plan = plan_block("gru_backward", s, gru_backward_rows(s), gru_backward_weights(s),
                                      reverse_others(s), sizeof(T), most_shared());
    const auto weights = pad_weights<kGruGates>(*this, op.weights.recurrent, s, op.carry);
    const auto gate_adjoints = scratch<T>(steps(s) * 4 * padded_units(s.units));
    const auto heads = head_gradients<T>(s, plan);
    launch_blocks(s, plan, gru_backward_kernel<T>, op, plan, weights.data(), gate_adjoints.data(), heads.data());
    const GruContraction<T> contraction = {
        {s, 0, op.carry, op.weights.states, op.saved, nullptr, {gate_adjoints.data(), nullptr}, nullptr}};
    contract(contraction, heads.data(), plan, op.gradients);
  }

  template <class T>
  void run(const RecurrentDoubleBackward<T>& op, const Tensor&) const {
    const RecurrentShape& s = op.shape;
    const BlockPlan forward = plan_block("gru_double_backward", s, gru_tangent_rows(s), gru_tangent_weights(s),
                                         gru_tangent_others(s), sizeof(T), most_shared());
    const BlockPlan reverse = plan_block("gru_double_backward", s, gru_second_rows(s), gru_second_weights(s),
                                         reverse_others(s), sizeof(T), most_shared());
    const auto tangents = scratch<T>(steps(s) * 5 * padded_units(s.units));
    {
      const auto packed = pack_weights<kGruGates>(*this, op.weights.recurrent, s, op.carry);
      const auto direction = pack_weights<kGruGates>(*this, op.direction.recurrent, s);
      launch_blocks(s, forward, gru_tangent_kernel<T>, op, forward, packed.data(), direction.data(), tangents.data());
    }
    const auto weights = pad_weights<kGruGates>(*this, op.weights.recurrent, s, op.carry);
    const auto direction = pad_weights<kGruGates>(*this, op.direction.recurrent, s, op.carry);
    const auto gate_adjoints = scratch<T>(steps(s) * 4 * padded_units(s.units));
    const auto first_adjoints = scratch<T>(steps(s) * 4 * padded_units(s.units));
    const auto heads = head_gradients<T>(s, reverse);
    launch_blocks(s, reverse, gru_second_kernel<T>, op, reverse, weights.data(), direction.data(), tangents.data(),
                  gate_adjoints.data(), first_adjoints.data(), heads.data());
    const GruContraction<T> contraction = {{s,
                                            0,
                                            op.carry,
                                            op.weights.states,
                                            op.saved,
                                            tangents.data(),
                                            {gate_adjoints.data(), first_adjoints.data()},
                                            nullptr}};
    contract(contraction, heads.data(), reverse, op.gradients);
  }
};

}  // namespace
}  // namespace mamrl

MAMRL_CUDA_OPS(m) {
  m.impl("gru", TORCH_BOX(&mamrl::gru<mamrl::Device>));
  m.impl("gru_backward", TORCH_BOX(&mamrl::gru_backward<mamrl::Device>));
  m.impl("gru_double_backward", TORCH_BOX(&mamrl::gru_double_backward<mamrl::Device>));
}
