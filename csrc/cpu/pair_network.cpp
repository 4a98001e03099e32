// Networks over pairs of policies: outputs, each player's own gradient, the weights' gradient. The loops are in
// csrc/cpu/simd.
#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "common/check.h"
#include "cpu/device.h"
#include "cpu/pair_kernels.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"

namespace mamrl {
namespace {

using std::optional;

// numbers that describe a layer: source, units, beside, swapped, activation, norm, skip, roles
constexpr int64_t kFields = 8;

// The checked arguments that all ops on a network share.
struct PairTensors {
  Tensor weights, x, gamma;
  std::vector<PairLayer> layers;
  int64_t batch, policy_size;

  PairTensors(const Tensor& weights_, const std::vector<int64_t>& fields, const Tensor& x_, const Tensor& gamma_)
      : weights(weights_), x(x_), gamma(gamma_) {
    check_floating("weights", weights);
    check_dtype("x", x, weights.scalar_type(), "weights");
    check_dtype("gamma", gamma, weights.scalar_type(), "weights");
    MAMRL_CHECK(x.dim() == 3 && x.size(0) == 2, "x has shape ", shape_text(x), ", expected (2, B, D)");
    batch = x.size(1), policy_size = x.size(2);
    MAMRL_CHECK(policy_size > 0, "x has shape ", shape_text(x), ", expected at least one parameter a policy");
    check_shape("gamma", gamma, {2, batch});
    const int64_t count = static_cast<int64_t>(fields.size()) / kFields;
    MAMRL_CHECK(count >= 2 && count <= kMostPairLayers && count * kFields == static_cast<int64_t>(fields.size()),
                "layers has ", fields.size(), " numbers, expected ", kFields, " for each of 2 to ", kMostPairLayers,
                " layers");
    int64_t size = 0;
    for (int64_t l = 0; l < count; ++l) size = add_layer(fields.data() + l * kFields, size);
    check_shape("weights", weights, {size});
    weights = row_major(weights), x = row_major(x), gamma = row_major(gamma);
  }

  // returns the number of weights so far
  int64_t add_layer(const int64_t* f, int64_t offset) {
    const int64_t l = static_cast<int64_t>(layers.size()), known = l + 2;
    PairLayer layer{};
    layer.source = f[0], layer.units = f[1], layer.beside = f[2], layer.swapped = f[3] != 0;
    layer.activation = static_cast<PairActivation>(f[4]), layer.norm = f[5] != 0;
    layer.skip = f[6], layer.roles = f[7] != 0, layer.offset = offset;
    MAMRL_CHECK(layer.source >= 0 && layer.source < known && layer.beside >= -1 && layer.beside < known &&
                    layer.skip >= -1 && layer.skip < known && layer.units > 0 && f[4] >= 0 && f[4] <= 2,
                "layer ", l, " names a signal or an activation that is not there, or has no units");
    MAMRL_CHECK(layer.skip < 0 || (units(layer.skip) == layer.units && layer.skip >= 2), "layer ", l,
                " skips from a signal of other units");
    MAMRL_CHECK(!layer.roles || (layer.beside < 0 && layer.skip < 0 && !layer.norm &&
                                 layer.activation == PairActivation::none && layer.source >= 2),
                "layer ", l, " has roles and more than a linear map of a layer's output");
    PairLayer& added = layers.emplace_back(layer);
    added.source_units = units(layer.source);
    added.inputs = added.source_units + (layer.beside >= 0 ? units(layer.beside) : 0);
    added.follows = follows(layer.source) || (!layer.swapped && follows(layer.beside)) || follows(layer.skip);
    if (layer.roles) return offset + 2 * layer.units * added.inputs;
    return PairLayer::gate(added) + (layer.skip >= 0 ? layer.units : 0);
  }

  int64_t units(int64_t signal) const {
    return signal >= 2 ? layers[static_cast<size_t>(signal - 2)].units : signal ? 1 : policy_size;
  }

  bool follows(int64_t signal) const {
    return signal == 0 || (signal >= 2 && layers[static_cast<size_t>(signal - 2)].follows);
  }

  int64_t outputs() const { return layers.back().units; }

  template <class T>
  PairNetwork<T> network() const {
    PairNetwork<T> op{};
    op.batch = batch;
    op.policy_size = policy_size;
    op.num_layers = static_cast<int64_t>(layers.size());
    op.num_weights = weights.numel();
    op.layers = layers.data();
    op.weights = weights.const_data_ptr<T>();
    op.x = x.const_data_ptr<T>();
    op.gamma = gamma.const_data_ptr<T>();
    return op;
  }
};

template <class T>
void run(const PairNetwork<T>& op) {
  const SimdKernels<T>& simd = simd_kernels<T>();
  run_tasks(PairNetwork<T>::parts(op), simd.pair_network_scratch(op),
            [&](int64_t first, int64_t last, char* memory) { simd.pair_network(op, first, last, memory); });
}

Tensor pair_network(const Tensor& weights, std::vector<int64_t> layers, const Tensor& x, const Tensor& gamma) {
  const PairTensors tensors(weights, layers, x, gamma);
  Tensor outputs = new_tensor(Cpu(), tensors.x, {2, tensors.batch, tensors.outputs()});
  dispatch_floating(tensors.x, [&]<class T>() {
    PairNetwork<T> op = tensors.network<T>();
    op.outputs = outputs.mutable_data_ptr<T>();
    run(op);
  });
  return outputs;
}

// The outputs are those that pair_network_own_gradient gave; a copy, since an op may not return its argument.
Tensor pair_network_recorded(const Tensor& weights, std::vector<int64_t> layers, const Tensor& x, const Tensor& gamma,
                             const Tensor& outputs) {
  const PairTensors tensors(weights, layers, x, gamma);
  check_dtype("outputs", outputs, tensors.x.scalar_type(), "x");
  check_shape("outputs", outputs, {2, tensors.batch, tensors.outputs()});
  return torch::stable::clone(outputs);
}

std::tuple<Tensor, Tensor> pair_network_own_gradient(const Tensor& weights, std::vector<int64_t> layers,
                                                     const Tensor& x, const Tensor& gamma,
                                                     const optional<Tensor>& signs_) {
  const PairTensors tensors(weights, layers, x, gamma);
  if (signs_) {
    check_dtype("signs", *signs_, tensors.x.scalar_type(), "x");
    check_shape("signs", *signs_, {2, tensors.batch, tensors.layers[tensors.layers.size() - 2].units});
    MAMRL_CHECK(tensors.layers.back().source == static_cast<int64_t>(tensors.layers.size()),
                "signs flip the units of the layer before the last, from which the last must read");
  }
  const optional<Tensor> signs = row_major(signs_);
  MAMRL_CHECK(tensors.layers.back().follows, "the outputs do not depend on the player's own policy");
  Tensor outputs = new_tensor(Cpu(), tensors.x, {2, tensors.batch, tensors.outputs()});
  Tensor gradient = new_like(Cpu(), tensors.x);
  dispatch_floating(tensors.x, [&]<class T>() {
    PairNetwork<T> op = tensors.network<T>();
    op.outputs = outputs.mutable_data_ptr<T>();
    op.gradient = gradient.mutable_data_ptr<T>();
    op.signs = data_or_null<T>(signs);
    run(op);
  });
  return {outputs, gradient};
}

Tensor pair_network_backward(const Tensor& grad_, const Tensor& weights, std::vector<int64_t> layers, const Tensor& x,
                             const Tensor& gamma) {
  const PairTensors tensors(weights, layers, x, gamma);
  check_dtype("grad", grad_, tensors.x.scalar_type(), "x");
  check_shape("grad", grad_, {2, tensors.batch, tensors.outputs()});
  const Tensor grad = row_major(grad_);
  Tensor result = new_like(Cpu(), tensors.weights);
  dispatch_floating(tensors.x, [&]<class T>() {
    PairNetwork<T> op = tensors.network<T>();
    op.grad_outputs = grad.const_data_ptr<T>();
    // any address: whether the parts are asked for decides how many there are
    op.partials = result.mutable_data_ptr<T>();
    const int64_t parts = PairNetwork<T>::parts(op);
    Tensor partials = new_tensor(Cpu(), tensors.x, {parts, op.num_weights});
    op.partials = partials.mutable_data_ptr<T>();
    run(op);
    T* const total = result.mutable_data_ptr<T>();
    const T* const each = op.partials;
    parallel_for(0, op.num_weights, 16384, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) total[i] = parts ? each[i] : T(0);
      for (int64_t part = 1; part < parts; ++part) {
        for (int64_t i = begin; i < end; ++i) total[i] += each[part * op.num_weights + i];
      }
    });
  });
  return result;
}

}  // namespace
}  // namespace mamrl

STABLE_TORCH_LIBRARY_IMPL(mamrl, CPU, m) {
  m.impl("pair_network", TORCH_BOX(&mamrl::pair_network));
  m.impl("pair_network_recorded", TORCH_BOX(&mamrl::pair_network_recorded));
  m.impl("pair_network_own_gradient", TORCH_BOX(&mamrl::pair_network_own_gradient));
  m.impl("pair_network_backward", TORCH_BOX(&mamrl::pair_network_backward));
}
