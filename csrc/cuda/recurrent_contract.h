// The gradients of the recurrent weights and of the gate table: one product over all times and trajectories of a chain,
//
//   (4P, T K) (T K, C),    a step's adjoints times [the hidden state before it, the state as one-hot, ...],
//
// of which the right factor is never in memory: it is made from what the forward pass saved while a tile is loaded. The
// double backward adds a second product, of the first backward's adjoints times the hidden state's tangents.
#pragma once

#include "cuda/recurrent_reverse.h"

namespace mamrl {

// A block makes kTileRows x kTileColumns of the result, four by four a thread, from kTileDepth steps at a time. The
// papers' 64 units and 5 states are 69 columns: three tiles of 24.
constexpr int kTileRows = 64, kTileColumns = 24, kTileDepth = 16;
constexpr int kContractThreads = kTileRows / 4 * (kTileColumns / 4);
// steps that one block goes over; a chain's parts are then summed in their order
constexpr int64_t kPartDepth = 1024, kMostContractParts = 16;

// A network's own Op derives from this and has, besides,
//   kGates                  how many;
//   columns()               C;
//   right(half, index, earlier, column)   the right factor at the step `index`, whose step before is `earlier`, or
//                           negative where there is none; half 1 is the second product;
//   recurrent_rows(gate), table_rows(gate)   in which P of the 4P rows the gradients of a gate's weights lie;
//   wanted(row, column)     whether any number of the tile that starts there is one of them.
template <class T>
struct Contraction {
  using Number = T;

  RecurrentShape shape;
  int64_t parts;
  T carry;
  const int64_t* states;
  const T *saved, *tangents;  // (T, M, K, 5, P); tangents are null but in the double backward
  const T* adjoints[2];       // (T, M, K, 4P): of this pass; of the first backward, beside tangents
  T* partials;                // (M, parts, 4P, C)

  MAMRL_METHOD int64_t padded() const { return padded_units(shape.units); }
  MAMRL_METHOD int64_t depth() const { return shape.horizon * shape.trajectories; }
  MAMRL_METHOD int64_t row_tiles() const { return (4 * padded() + kTileRows - 1) / kTileRows; }
};

template <class Op>
MAMRL_FN int64_t column_tiles(const Op& op) {
  return (op.columns() + kTileColumns - 1) / kTileColumns;
}
template <class Op>
MAMRL_FN int64_t contract_tasks(const Op& op) {
  return op.shape.chains * op.parts * op.row_tiles() * column_tiles(op);
}

inline int64_t contract_parts(int64_t depth) {
  return std::min(kMostContractParts, (depth + kPartDepth - 1) / kPartDepth);
}

constexpr int64_t kContractTile = kTileDepth * (kTileRows + kTileColumns);
template <class T>
constexpr int64_t kContractBytes = kContractTile * sizeof(T) + 2 * kTileDepth * sizeof(int64_t);

template <class Op>
__global__ void __launch_bounds__(kContractThreads) contract_kernel(Op op) {
  using T = typename Op::Number;
  T *const left = shared_memory<T>(), *const right = left + kTileDepth * kTileRows;
  int64_t *const steps = reinterpret_cast<int64_t*>(right + kTileDepth * kTileColumns), *const earlier =
                                                                                            steps + kTileDepth;
  const int64_t padded = op.padded(), k_count = op.shape.trajectories, step = op.shape.chains * k_count;
  const int row = threadIdx.x / (kTileColumns / 4) * 4, column = threadIdx.x % (kTileColumns / 4) * 4;
  const int halves = op.tangents ? 2 : 1;
  for (int64_t task = blockIdx.x; task < contract_tasks(op); task += gridDim.x) {
    // blocks that read the same adjoints are neighbours
    const int64_t first_column = task % column_tiles(op) * kTileColumns, rest = task / column_tiles(op);
    const int64_t first_row = rest % op.row_tiles() * kTileRows, part = rest / op.row_tiles() % op.parts;
    const int64_t chain = rest / op.row_tiles() / op.parts;
    const int64_t begin = part * op.depth() / op.parts, end = (part + 1) * op.depth() / op.parts;
    if (!op.wanted(first_row, first_column)) continue;
    T tile[4][4] = {};
    for (int64_t at = begin; at < end; at += kTileDepth) {
      if (threadIdx.x < kTileDepth) {
        const int64_t d = at + threadIdx.x, t = d / k_count;
        steps[threadIdx.x] = d < end ? (t * op.shape.chains + chain) * k_count + d % k_count : -1;
        earlier[threadIdx.x] = t > 0 ? steps[threadIdx.x] - step : -1;
      }
      __syncthreads();
      for (int half = 0; half < halves; ++half) {
        const T* const adjoints = half == 0 ? op.adjoints[0] : op.adjoints[1];
        for (int i = threadIdx.x; i < kTileDepth * kTileRows; i += kContractThreads) {
          const int64_t index = steps[i / kTileRows], from = first_row + i % kTileRows;
          left[i] = index >= 0 && from < 4 * padded ? adjoints[index * 4 * padded + from] : T(0);
        }
        for (int i = threadIdx.x; i < kTileDepth * kTileColumns; i += kContractThreads) {
          const int64_t index = steps[i / kTileColumns];
          right[i] =
              index >= 0 ? op.right(half, index, earlier[i / kTileColumns], first_column + i % kTileColumns) : T(0);
        }
        __syncthreads();
#pragma unroll 4
        for (int d = 0; d < kTileDepth; ++d) {
          const Four<T> a = load_four(left + d * kTileRows + row), b = load_four(right + d * kTileColumns + column);
#pragma unroll
          for (int r = 0; r < 4; ++r)
#pragma unroll
            for (int c = 0; c < 4; ++c) tile[r][c] += a.v[r] * b.v[c];
        }
        __syncthreads();
      }
    }
    T* const partial = op.partials + (chain * op.parts + part) * 4 * padded * op.columns();
    for (int r = 0; r < 4; ++r) {
      for (int c = 0; c < 4; ++c) {
        const int64_t to_row = first_row + row + r, to_column = first_column + column + c;
        if (to_row < 4 * padded && to_column < op.columns()) partial[to_row * op.columns() + to_column] = tile[r][c];
      }
    }
  }
}

// All weights' gradients, in their own layouts, from the parts' and the blocks' shares: (M, parts, 4P, C) and
// (M, blocks, A P + A), in their order.
template <class Op>
__global__ void sum_gradients_kernel(Op op, const typename Op::Number* head_gradients, int64_t blocks,
                                     RecurrentGradients<typename Op::Number> out) {
  using T = typename Op::Number;
  const RecurrentShape& s = op.shape;
  const int64_t padded = op.padded(), gates = Op::kGates * s.units, head_size = head_gradient_size(s);
  const int64_t recurrent = gates * s.units, table = s.rows * gates, head = s.outputs * s.units;
  const int64_t bias = out.recurrent_bias ? s.units : 0, size = recurrent + table + head + s.outputs + bias;
  const auto contracted = [&](int64_t chain, int64_t row, int64_t column) {
    const int64_t part_size = 4 * padded * op.columns();
    const T* const from = op.partials + chain * op.parts * part_size + row * op.columns() + column;
    T sum = from[0];
    for (int64_t part = 1; part < op.parts; ++part) sum += from[part * part_size];
    return sum;
  };
  const auto of_blocks = [&](int64_t chain, int64_t place) {
    const T* const from = head_gradients + chain * blocks * head_size + place;
    T sum = from[0];
    for (int64_t block = 1; block < blocks; ++block) sum += from[block * head_size];
    return sum;
  };
  for (int64_t i = grid_thread(); i < s.chains * size; i += grid_threads()) {
    const int64_t chain = i / size;
    int64_t j = i % size;
    if (j < recurrent) {
      const int64_t gate = j / s.units / s.units, unit = j / s.units % s.units;
      out.recurrent[chain * recurrent + j] = contracted(chain, op.recurrent_rows(gate) * padded + unit, j % s.units);
      continue;
    }
    j -= recurrent;
    if (j < table) {
      const int64_t gate = j % gates / s.units, unit = j % s.units;
      out.gate_inputs[chain * table + j] = contracted(chain, op.table_rows(gate) * padded + unit, padded + j / gates);
      continue;
    }
    j -= table;
    if (j < head) {
      out.head[chain * head + j] = of_blocks(chain, j / s.units * padded + j % s.units);
      continue;
    }
    j -= head;
    if (j < s.outputs) {
      out.bias[chain * s.outputs + j] = of_blocks(chain, s.outputs * padded + j);
      continue;
    }
    // the column of ones, behind the states
    j -= s.outputs;
    out.recurrent_bias[chain * s.units + j] =
        contracted(chain, op.recurrent_rows(Op::kGates - 1) * padded + j, padded + s.rows);
  }
}

}  // namespace mamrl
