// What the kernels of recurrent networks and of the rollout share: a block takes up to kBlockTrajectories trajectories
// of one chain through all of time. Its weights lie in shared memory where they fit, and are streamed from L2 where
// they do not; states lie in shared memory as rows of units by trajectories.
#pragma once

#include "common/recurrent_kernels.h"
#include "cuda/launch.h"

namespace mamrl {

// trajectories that a thread holds in registers, with four numbers of each
constexpr int kTile = 8;
constexpr int kBlockTrajectories = 32;
// A row of trajectories is this much longer than they are: threads of neighbouring units then write different banks.
constexpr int kRowPadding = 4;

// what is read and written by one instruction
template <class T>
struct alignas(4 * sizeof(T)) Four {
  T v[4];
};

template <class T>
__device__ inline Four<T> load_four(const T* from) {
  check_aligned(from, alignof(Four<T>));
  return *reinterpret_cast<const Four<T>*>(from);
}

// tile[r][c] += sum_d a[d * a_stride + r] * b[d * b_stride + c], a tile of kTile trajectories by four columns, of which
// the last may be left alone
template <int kColumns = 4, class T>
__device__ inline void add_product(T (&tile)[kTile][4], const T* a, int64_t a_stride, const T* b, int64_t b_stride,
                                   int64_t depth) {
  static_assert(kTile == 8);
#pragma unroll 4
  for (int64_t d = 0; d < depth; ++d) {
    const Four<T> low = load_four(a + d * a_stride), high = load_four(a + d * a_stride + 4);
    const Four<T> columns = load_four(b + d * b_stride);
#pragma unroll
    for (int r = 0; r < kTile; ++r) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) tile[r][c] += (r < 4 ? low.v[r % 4] : high.v[r % 4]) * columns.v[c];
    }
  }
}

// How a kernel's blocks are cut. It depends on sizes and on the device's shared memory alone, never on how many chains
// there are, so that a chain's numbers do not depend on the others.
struct BlockPlan {
  int trajectories;        // of a block, a multiple of kTile
  bool weights_in_shared;  // or in global memory
  int threads;
  int64_t shared_bytes;

  MAMRL_METHOD int stride() const { return trajectories + kRowPadding; }
  MAMRL_METHOD int64_t blocks(int64_t all) const { return (all + trajectories - 1) / trajectories; }
};

// rows: of `stride` numbers; weights: numbers that may stay in global memory; others: numbers of any other use.
// Each multiplied by element_size.
inline BlockPlan plan_block(const char* what, const RecurrentShape& s, int64_t rows, int64_t weights, int64_t others,
                            int64_t element_size, int64_t most_bytes, int64_t other_bytes = 0) {
  for (const bool in_shared : {true, false}) {
    for (int trajectories = kBlockTrajectories; trajectories >= kTile; trajectories /= 2) {
      if (trajectories / 2 >= s.trajectories && trajectories > kTile) continue;
      const int64_t numbers = rows * (trajectories + kRowPadding) + others + (in_shared ? weights : 0);
      const int64_t bytes = numbers * element_size + other_bytes;
      if (bytes > most_bytes) continue;
      const int64_t tiles = padded_units(s.units) * (trajectories / kTile);
      return {trajectories, in_shared, static_cast<int>(std::min<int64_t>(kThreads, (tiles + 31) / 32 * 32)), bytes};
    }
  }
  MAMRL_CHECK(false, s.units, " units in ", element_size, "-byte numbers do not fit a block's ", most_bytes,
              " bytes of shared memory in ", what, "; use fewer units, or float32");
}

// Cuts shared memory into arrays; sizes are multiples of four numbers, so that Fours stay aligned.
template <class T>
struct SharedArrays {
  T* next;
  __device__ T* take(int64_t count) {
    T* array = next;
    next += count;
    return array;
  }
};

MAMRL_FN int64_t round_to_four(int64_t count) { return (count + 3) / 4 * 4; }

template <class T>
__device__ inline void copy_by_block(T* to, const T* from, int64_t count) {
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) to[i] = from[i];
}

template <class T>
__device__ inline void fill_by_block(T* to, int64_t count, T value) {
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) to[i] = value;
}

// rows of N -> rows of P
template <class T>
__device__ inline void pad_by_block(T* to, const T* from, int64_t rows, int64_t units, int64_t padded) {
  for (int64_t i = threadIdx.x; i < rows * padded; i += blockDim.x) {
    const int64_t row = i / padded, unit = i % padded;
    to[i] = unit < units ? from[row * units + unit] : T(0);
  }
}

// A chain's weights, where a kernel reads them: in shared memory, which is filled here, or where they are.
template <class T>
__device__ inline const T* place_weights(SharedArrays<T>& shared, bool in_shared, const T* from, int64_t count) {
  if (!in_shared) return from;
  T* const array = shared.take(count);
  copy_by_block(array, from, count);
  return array;
}

// ---- weights as the kernels read them, made once a call ----

// (M, GN, N) -> (M, N, P, 4): for each input, the gates of each unit side by side, zeros where there are but three
template <class T>
__global__ void pack_weights_kernel(const T* from, int64_t chains, int64_t gates, int64_t units, T factor, T* to) {
  const int64_t padded = padded_units(units), count = chains * units * padded * 4;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const int64_t gate = i % 4, unit = i / 4 % padded, input = i / 4 / padded % units, chain = i / 4 / padded / units;
    to[i] =
        unit < units && gate < gates ? factor * from[((chain * gates + gate) * units + unit) * units + input] : T(0);
  }
}

// (M, GN, N) -> (M, GP, P)
template <class T>
__global__ void pad_weights_kernel(const T* from, int64_t chains, int64_t gates, int64_t units, T factor, T* to) {
  const int64_t padded = padded_units(units), count = chains * gates * padded * padded;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const int64_t input = i % padded, unit = i / padded % padded, gate = i / padded / padded;
    to[i] = unit < units && input < units ? factor * from[(gate * units + unit) * units + input] : T(0);
  }
}

// both of the weights times a factor
template <int kGates, class T>
Scratch<T> pack_weights(const Gpu& gpu, const T* recurrent, const RecurrentShape& s, T factor = 1) {
  const int64_t count = s.chains * 4 * s.units * padded_units(s.units);
  Scratch<T> packed = gpu.scratch<T>(count);
  gpu.launch_over(count, pack_weights_kernel<T>, recurrent, s.chains, int64_t{kGates}, s.units, factor, packed.data());
  return packed;
}

template <int kGates, class T>
Scratch<T> pad_weights(const Gpu& gpu, const T* recurrent, const RecurrentShape& s, T factor = 1) {
  const int64_t count = s.chains * kGates * padded_units(s.units) * padded_units(s.units);
  Scratch<T> padded = gpu.scratch<T>(count);
  gpu.launch_over(count, pad_weights_kernel<T>, recurrent, s.chains, int64_t{kGates}, s.units, factor, padded.data());
  return padded;
}

// ---- pieces of a step ----

template <class V>
__device__ inline V sigmoid(V x) {
  return V(1) / (V(1) + std::exp(-x));
}

// Where trajectory k of a block lies: chain, first trajectory and time -> (t M + m) K + k
struct BlockPlace {
  int64_t chain, first;
  int count;

  __device__ BlockPlace(const RecurrentShape& s, const BlockPlan& plan, int64_t task) {
    const int64_t blocks = plan.blocks(s.trajectories);
    chain = task / blocks;
    first = task % blocks * plan.trajectories;
    const int64_t rest = s.trajectories - first;
    count = static_cast<int>(rest < plan.trajectories ? rest : plan.trajectories);
  }
  __device__ int64_t index(const RecurrentShape& s, int64_t t) const {
    return (t * s.chains + chain) * s.trajectories + first;
  }
};

// Where the gate inputs of the trajectory at `index` lie, G rows of N: in the table or the dense tensor.
template <int kGates, class T>
__device__ inline const T* gate_row(const RecurrentWeights<T>& w, const RecurrentShape& s, int64_t chain,
                                    int64_t index) {
  return w.gate_inputs + (s.rows ? chain * s.rows + w.states[index] : index) * kGates * s.units;
}

// What was written of one unit for a tile of trajectories, rows of (.., 5, P): a step, as Step<T> names it, its state,
// and its state a step earlier. All of it is on its way before the first is needed; stores between would make each load
// wait for the last.
template <template <class> class Step, class T>
struct RowTile {
  Step<T> step[kTile];
  T state[kTile], earlier_state[kTile];

  // row: of the tile's first trajectory; back: to the step before, 0 where there is none; count: trajectories here
  __device__ RowTile(const T* row, int64_t padded, int64_t back, int count) {
#pragma unroll
    for (int r = 0; r < kTile; ++r) {
      if (r >= count) continue;
      const T* const from = row + r * 5 * padded;
      step[r] = {from[0], from[padded], from[2 * padded], from[3 * padded]};
      state[r] = from[4 * padded];
      earlier_state[r] = back ? from[4 * padded - back] : T(0);
    }
  }
};

}  // namespace mamrl
