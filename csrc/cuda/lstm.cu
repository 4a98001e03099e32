// The LSTM with its output layer on the GPU: one kernel a pass over all of time, each block with a chain's weights.
#include "ops/lstm.h"

#include <torch/csrc/stable/library.h>

#include "cuda/lstm_contract.h"
#include "cuda/lstm_double_backward.h"
#include "cuda/lstm_forward.h"
#include "cuda/recurrent_launch.h"

namespace mamrl {
namespace {

struct Device : RecurrentGpu {
  using RecurrentGpu::RecurrentGpu;

  template <class T>
  void run(const LstmForward<T>& op, const Tensor&) const {
    const LstmShape& s = op.shape;
    const BlockPlan plan =
        plan_block("lstm", s, forward_rows(s), forward_weights(s), forward_others(s), sizeof(T), most_shared());
    const auto packed = pack_weights<kLstmGates>(*this, op.weights.recurrent, s);
    launch_blocks(s, plan, lstm_forward_kernel<T>, op, plan, packed.data());
  }

  template <class T>
  void run(const LstmBackward<T>& op, const Tensor&) const {
    const LstmShape& s = op.shape;
    const BlockPlan plan = plan_block("lstm_backward", s, backward_rows(s), backward_weights(s), reverse_others(s),
                                      sizeof(T), most_shared());
    const auto weights = pad_weights<kLstmGates>(*this, op.weights.recurrent, s, op.carry);
    const auto gate_adjoints = scratch<T>(steps(s) * 4 * padded_units(s.units));
    const auto heads = head_gradients<T>(s, plan);
    launch_blocks(s, plan, lstm_backward_kernel<T>, op, plan, weights.data(), gate_adjoints.data(), heads.data());
    const LstmContraction<T> contraction = {
        {s, 0, op.carry, op.weights.states, op.saved, nullptr, {gate_adjoints.data(), nullptr}, nullptr}};
    contract(contraction, heads.data(), plan, op.gradients);
  }

  template <class T>
  void run(const LstmDoubleBackward<T>& op, const Tensor&) const {
    const LstmShape& s = op.shape;
    const BlockPlan forward = plan_block("lstm_double_backward", s, tangent_rows(s), tangent_weights(s),
                                         tangent_others(s), sizeof(T), most_shared());
    const BlockPlan reverse = plan_block("lstm_double_backward", s, second_rows(s), second_weights(s),
                                         reverse_others(s), sizeof(T), most_shared());
    const auto tangents = scratch<T>(steps(s) * 5 * padded_units(s.units));
    {
      const auto packed = pack_weights<kLstmGates>(*this, op.weights.recurrent, s, op.carry);
      const auto direction = pack_weights<kLstmGates>(*this, op.direction.recurrent, s);
      launch_blocks(s, forward, lstm_tangent_kernel<T>, op, forward, packed.data(), direction.data(), tangents.data());
    }
    const auto weights = pad_weights<kLstmGates>(*this, op.weights.recurrent, s, op.carry);
    const auto direction = pad_weights<kLstmGates>(*this, op.direction.recurrent, s, op.carry);
    const auto gate_adjoints = scratch<T>(steps(s) * 4 * padded_units(s.units));
    const auto first_adjoints = scratch<T>(steps(s) * 4 * padded_units(s.units));
    const auto heads = head_gradients<T>(s, reverse);
    launch_blocks(s, reverse, lstm_second_kernel<T>, op, reverse, weights.data(), direction.data(), tangents.data(),
                  gate_adjoints.data(), first_adjoints.data(), heads.data());
    const LstmContraction<T> contraction = {{s,
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
  m.impl("lstm", TORCH_BOX(&mamrl::lstm<mamrl::Device>));
  m.impl("lstm_recorded", TORCH_BOX(&mamrl::lstm_recorded<mamrl::Device>));
  m.impl("lstm_backward", TORCH_BOX(&mamrl::lstm_backward<mamrl::Device>));
  m.impl("lstm_double_backward", TORCH_BOX(&mamrl::lstm_double_backward<mamrl::Device>));
}
