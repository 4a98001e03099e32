// Networks over pairs of policies, a block of pairs at a time through all layers and back, so that no activation
// leaves the cache. Activations lie unit by unit, (units, rows): registers hold rows, and W serves both directions as
// it is.
#include "cpu/pair_kernels.h"
#include "cpu/simd/multiply.h"
#include "cpu/simd/pair_rows.h"

namespace mamrl::MAMRL_SIMD {

namespace {

constexpr int64_t kSignals = kMostPairLayers + 2;

// A block's activations and adjoints, by signal.
template <class T>
struct Block {
  T *value[kSignals], *adjoint[kSignals];
  // GELU's derivative; with a skip what it is mixed with; the normalised input and one over its spread
  T *slope[kSignals], *mixed[kSignals], *normed[kSignals], *spread[kSignals];
  T *swapped, *turned;
  int64_t bytes;

  Block(const PairNetwork<T>& op, char* memory) {
    Arena arena{memory};
    int64_t widest = 1;
    for (int64_t s = 0; s < op.num_layers + 2; ++s) {
      const int64_t size = kPairRows * units(op, s);
      widest = widest < size ? size : widest;
      value[s] = arena.take<T>(size);
      adjoint[s] = needs_adjoint(op, s) ? arena.take<T>(size) : nullptr;
      if (s < 2) continue;
      const PairLayer& layer = op.layers[s - 2];
      if (layer.activation == PairActivation::gelu) slope[s] = arena.take<T>(size);
      if (layer.skip >= 0) mixed[s] = arena.take<T>(size);
      if (layer.norm) {
        normed[s] = arena.take<T>(size);
        spread[s] = arena.take<T>(kPairRows);
      }
    }
    swapped = arena.take<T>(widest);
    turned = arena.take<T>(widest);
    bytes = arena.used;
  }

  static int64_t units(const PairNetwork<T>& op, int64_t signal) {
    return signal >= 2 ? op.layers[signal - 2].units : signal ? 1 : op.policy_size;
  }

  static bool needs_adjoint(const PairNetwork<T>& op, int64_t signal) {
    if (op.partials) return signal >= 2;
    return op.gradient && (signal == 0 || (signal >= 2 && op.layers[signal - 2].follows));
  }
};

// (units, rows) with the players' halves exchanged
template <class T>
static void swap_players(const T* from, T* to, int64_t units) {
  for (int64_t u = 0; u < units; ++u, from += kPairRows, to += kPairRows) {
    copy(to, from + kPairBlock, kPairBlock);
    copy(to + kPairBlock, from, kPairBlock);
  }
}

// Calls f(row of the block, number of its pair and player in (2, B)) for the rows that hold a pair.
template <class T, class F>
MAMRL_FN void each_row(const PairNetwork<T>& op, int64_t block, F f) {
  const int64_t first = block * kPairBlock, pairs = smaller(kPairBlock, op.batch - first);
  for (int64_t player = 0; player < 2; ++player) {
    for (int64_t b = 0; b < pairs; ++b) f(player * kPairBlock + b, player * op.batch + first + b);
  }
}

// rows of (2, B, units) to (units, rows); rows without a pair are zero
template <class T>
static void read_rows(const PairNetwork<T>& op, int64_t block, const T* from, T* to, int64_t units) {
  fill_zero(to, units * kPairRows);
  each_row(op, block, [&](int64_t row, int64_t at) {
    for (int64_t u = 0; u < units; ++u) to[u * kPairRows + row] = from[at * units + u];
  });
}

template <class T>
static void write_rows(const PairNetwork<T>& op, int64_t block, const T* from, T* to, int64_t units) {
  each_row(op, block, [&](int64_t row, int64_t at) {
    for (int64_t u = 0; u < units; ++u) to[at * units + u] = from[u * kPairRows + row];
  });
}

template <class T>
static void layer_forward(const PairNetwork<T>& op, const Block<T>& block, int64_t l) {
  const PairLayer& layer = op.layers[l];
  const T* const weight = op.weights + layer.offset;
  const T* const x = block.value[layer.source];
  const int64_t s = l + 2, units = layer.units, inputs = layer.inputs;
  T* const y = block.value[s];
  if (layer.roles) {
    fill_zero(y, units * kPairRows);
    for (int64_t player = 0; player < 2; ++player) {
      add_product(y + player * kPairBlock, kPairRows, weight + player * units * inputs, inputs, 1,
                  x + player * kPairBlock, kPairRows, units, inputs, kPairBlock);
    }
    return;
  }
  const T* const bias = op.weights + PairLayer::bias(layer);
  for (int64_t u = 0; u < units; ++u) fill_rows(y + u * kPairRows, bias[u], 1);
  add_product(y, kPairRows, weight, inputs, 1, x, kPairRows, units, layer.source_units, kPairRows);
  if (layer.beside >= 0) {
    const int64_t beside_units = inputs - layer.source_units;
    const T* beside = block.value[layer.beside];
    if (layer.swapped) swap_players(beside, block.swapped, beside_units);
    add_product(y, kPairRows, weight + layer.source_units, inputs, 1, layer.swapped ? block.swapped : beside, kPairRows,
                units, beside_units, kPairRows);
  }
  if (layer.norm) {
    const T* const scale = op.weights + PairLayer::norm_weight(layer);
    normalise(y, block.normed[s], block.spread[s], scale, scale + units, units);
  }
  if (layer.activation == PairActivation::gelu) gelu(y, block.slope[s], units);
  if (layer.activation == PairActivation::tanh) tanh_rows(y, units);
  if (layer.skip < 0) return;
  const T* const gates = op.weights + PairLayer::gate(layer);
  const T* skipped = block.value[layer.skip];
  T* const mixed = block.mixed[s];
  for (int64_t u = 0; u < units; ++u) {
    const T gate = logistic(gates[u]);
    for (int64_t i = u * kPairRows; i < (u + 1) * kPairRows; ++i) {
      mixed[i] = y[i];
      y[i] = gate * skipped[i] + (T(1) - gate) * y[i];
    }
  }
}

// grad (units, inputs from `column` on) += d (units, rows) times x (x_units, rows) transposed
template <class T>
static void add_weight_gradient(T* grad, int64_t inputs, const T* d, const T* x, T* turned, int64_t units,
                                int64_t x_units) {
  const int64_t whole = x_units / kLanes<T> * kLanes<T>;
  for (int64_t first = 0; first < whole; first += kLanes<T>) {
    for (int64_t r = 0; r < kPairRows; ++r) {
      for (int64_t i = first; i < first + kLanes<T>; ++i) turned[r * whole + i] = x[i * kPairRows + r];
    }
  }
  if (whole) add_product(grad, inputs, d, kPairRows, 1, turned, whole, units, kPairRows, whole);
  for (int64_t i = whole; i < x_units; ++i) {
    const Row<T> column = load_row(x + i * kPairRows);
    for (int64_t u = 0; u < units; ++u) {
      Row<T> product = load_row(d + u * kPairRows);
      MAMRL_EACH_VECTOR product.v[v] *= column.v[v];
      grad[u * inputs + i] += sum_row(product);
    }
  }
}

// Passes a layer's adjoint on to what it was computed from, and adds to the weights' gradient where `grads` is given.
template <class T>
static void layer_backward(const PairNetwork<T>& op, const Block<T>& block, int64_t l, T* grads) {
  const PairLayer& layer = op.layers[l];
  const T* const weight = op.weights + layer.offset;
  const int64_t s = l + 2, units = layer.units, inputs = layer.inputs, size = units * kPairRows;
  T* const d = block.adjoint[s];
  if (layer.roles) {
    for (int64_t player = 0; player < 2; ++player) {
      const int64_t rows = player * kPairBlock, matrix = player * units * inputs;
      add_product(block.adjoint[layer.source] + rows, kPairRows, weight + matrix, 1, inputs, d + rows, kPairRows,
                  inputs, units, kPairBlock);
      if (!grads) continue;
      // the other player's rows count for nothing here
      T* const own = block.swapped;
      copy(own, d, size);
      for (int64_t u = 0; u < units; ++u) fill_zero(own + u * kPairRows + kPairBlock - rows, kPairBlock);
      add_weight_gradient(grads + layer.offset + matrix, inputs, own, block.value[layer.source], block.turned, units,
                          inputs);
    }
    return;
  }
  if (layer.skip >= 0) {
    const T* const gates = op.weights + PairLayer::gate(layer);
    const T *skipped = block.value[layer.skip], *mixed = block.mixed[s];
    T* const to = block.adjoint[layer.skip];
    for (int64_t u = 0; u < units; ++u) {
      const T gate = logistic(gates[u]);
      if (grads) {
        Row<T> difference = load_row(skipped + u * kPairRows);
        const Row<T> other = load_row(mixed + u * kPairRows), adjoint = load_row(d + u * kPairRows);
        MAMRL_EACH_VECTOR difference.v[v] = (difference.v[v] - other.v[v]) * adjoint.v[v];
        grads[PairLayer::gate(layer) + u] += gate * (T(1) - gate) * sum_row(difference);
      }
      for (int64_t i = u * kPairRows; i < (u + 1) * kPairRows; ++i) {
        if (to) to[i] += gate * d[i];
        d[i] *= T(1) - gate;
      }
    }
  }
  if (layer.activation == PairActivation::gelu) {
    for (int64_t i = 0; i < size; ++i) d[i] *= block.slope[s][i];
  }
  if (layer.activation == PairActivation::tanh) {
    for (int64_t i = 0; i < size; ++i) d[i] *= T(1) - block.value[s][i] * block.value[s][i];
  }
  if (layer.norm) {
    T* const grad = grads ? grads + PairLayer::norm_weight(layer) : nullptr;
    normalise_backward(d, block.normed[s], block.spread[s], op.weights + PairLayer::norm_weight(layer), grad,
                       grad ? grad + units : nullptr, units);
  }
  const int64_t beside_units = inputs - layer.source_units;
  if (grads) {
    T* const grad = grads + layer.offset;
    T* const grad_bias = grads + PairLayer::bias(layer);
    for (int64_t u = 0; u < units; ++u) grad_bias[u] += sum_row(load_row(d + u * kPairRows));
    add_weight_gradient(grad, inputs, d, block.value[layer.source], block.turned, units, layer.source_units);
    if (layer.beside >= 0) {
      if (layer.swapped) swap_players(block.value[layer.beside], block.swapped, beside_units);
      add_weight_gradient(grad + layer.source_units, inputs, d,
                          layer.swapped ? block.swapped : block.value[layer.beside], block.turned, units, beside_units);
    }
  }
  if (T* const to = block.adjoint[layer.source]) {
    add_product(to, kPairRows, weight, 1, inputs, d, kPairRows, layer.source_units, units, kPairRows);
  }
  // a player's own gradient takes no way through the other player
  T* const beside = layer.beside >= 0 && !(layer.swapped && !grads) ? block.adjoint[layer.beside] : nullptr;
  if (!beside) return;
  const T* from = d;
  if (layer.swapped) {
    swap_players(d, block.swapped, units);
    from = block.swapped;
  }
  add_product(beside, kPairRows, weight + layer.source_units, 1, inputs, from, kPairRows, beside_units, units,
              kPairRows);
}

}  // namespace

template <class T>
int64_t pair_network_scratch(const PairNetwork<T>& op) {
  return Block<T>(op, nullptr).bytes;
}

// the tasks [first, last): parts of the weight gradients, or blocks
template <class T>
void pair_network(const PairNetwork<T>& op, int64_t first, int64_t last, char* memory) {
  using Op = PairNetwork<T>;
  const Block<T> block(op, memory);
  const int64_t signals = op.num_layers + 2, output = signals - 1, quantiles = op.layers[op.num_layers - 1].units;
  const int64_t blocks = Op::blocks(op), parts = Op::parts(op);
  for (int64_t part = first; part < last; ++part) {
    T* const grads = op.partials ? op.partials + part * op.num_weights : nullptr;
    if (grads) fill_zero(grads, op.num_weights);
    for (int64_t b = part * blocks / parts; b < (part + 1) * blocks / parts; ++b) {
      read_rows(op, b, op.x, block.value[0], op.policy_size);
      read_rows(op, b, op.gamma, block.value[1], 1);
      for (int64_t l = 0; l < op.num_layers; ++l) layer_forward(op, block, l);
      if (op.outputs) write_rows(op, b, block.value[output], op.outputs, quantiles);
      if (!grads && !op.gradient) continue;
      for (int64_t s = 0; s < signals; ++s) {
        if (block.adjoint[s]) fill_zero(block.adjoint[s], Block<T>::units(op, s) * kPairRows);
      }
      if (grads) {
        read_rows(op, b, op.grad_outputs, block.adjoint[output], quantiles);
      } else {
        fill_rows(block.adjoint[output], T(1) / static_cast<T>(quantiles), quantiles);
      }
      for (int64_t l = op.num_layers - 1; l >= 0; --l) {
        if (!block.adjoint[l + 2]) continue;
        layer_backward(op, block, l, grads);
        if (op.signs && l + 1 == op.num_layers) {
          const int64_t units = op.layers[l - 1].units;
          T *const d = block.adjoint[l + 1], *const signs = block.swapped;
          read_rows(op, b, op.signs, signs, units);
          for (int64_t i = 0; i < units * kPairRows; ++i) d[i] *= signs[i];
        }
      }
      if (op.gradient) write_rows(op, b, block.adjoint[0], op.gradient, op.policy_size);
    }
  }
}

template int64_t pair_network_scratch(const PairNetwork<float>&);
template int64_t pair_network_scratch(const PairNetwork<double>&);
template void pair_network(const PairNetwork<float>&, int64_t, int64_t, char*);
template void pair_network(const PairNetwork<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
