// The one inner loop of all LSTM kernels: a tile of C += A B that stays in registers.
#pragma once

#include "cpu/simd/vec.h"

namespace mamrl::MAMRL_SIMD {

// A function of its own for each tile: inlined among others, GCC hoists their constants into registers and spills the
// tile.
#define MAMRL_TILE static __attribute__((noinline))

// vectors of a tile's row: the four gates of a block of units, or as many columns
constexpr int kTileVectors = 4;
// rows of a tile: with 4 accumulators each, as many as the level's registers hold
#if defined(__AVX512F__)
constexpr int kTileRows = 4;
#elif defined(__AVX2__)
constexpr int kTileRows = 3;
#else
constexpr int kTileRows = 2;
#endif

// Calls tile.operator()<R>(first) for tiles of R of `rows` rows: as many full ones as there are, then of two, then of
// one, which has too few sums to keep the FMAs busy.
template <class F>
MAMRL_FN void for_tiles(int64_t rows, F&& tile) {
  int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) tile.template operator()<kTileRows>(r);
  for (; r + 2 <= rows; r += 2) tile.template operator()<2>(r);
  if (r < rows) tile.template operator()<1>(r);
}

// tile[r][v] += sum_k a[r * row_stride + k * depth_stride] * b[k * b_stride + v * lanes]
template <int R, int V, class T>
MAMRL_FN void multiply(Vec<T> (&tile)[R][V], const T* a, int64_t row_stride, int64_t depth_stride, const T* b,
                       int64_t b_stride, int64_t depth) {
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k) {
    // the shorter side of the tile waits in registers, the other passes by
    if constexpr (R < V) {
      Vec<T> rows[R];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) rows[r] = broadcast(a[r * row_stride + k * depth_stride]);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) {
        const Vec<T> column = load(b + k * b_stride + v * kLanes<T>);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) tile[r][v] += rows[r] * column;
      }
    } else {
      Vec<T> columns[V];
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) columns[v] = load(b + k * b_stride + v * kLanes<T>);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Vec<T> row = broadcast(a[r * row_stride + k * depth_stride]);
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) tile[r][v] += row * columns[v];
      }
    }
  }
}

template <int R, int V, class T>
MAMRL_FN void load_tile(Vec<T> (&tile)[R][V], const T* from, int64_t stride) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) tile[r][v] = load(from + r * stride + v * kLanes<T>);
  }
}

template <int R, int V, class T>
MAMRL_FN void store_tile(const Vec<T> (&tile)[R][V], T* to, int64_t stride) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) store(to + r * stride + v * kLanes<T>, tile[r][v]);
  }
}

template <int R, int V, class T>
MAMRL_TILE void add_product_tile(T* c, int64_t c_stride, const T* a, int64_t row_stride, int64_t depth_stride,
                                 const T* b, int64_t b_stride, int64_t depth) {
  Vec<T> tile[R][V];
  load_tile(tile, c, c_stride);
  multiply(tile, a, row_stride, depth_stride, b, b_stride, depth);
  store_tile(tile, c, c_stride);
}

template <int V, class T>
static void add_product_columns(T* c, int64_t c_stride, const T* a, int64_t row_stride, int64_t depth_stride,
                                const T* b, int64_t b_stride, int64_t rows, int64_t depth, Ahead& ahead) {
  for_tiles(rows, [&]<int R>(int64_t r) __attribute__((always_inline)) {
    ahead.next();
    add_product_tile<R, V>(c + r * c_stride, c_stride, a + r * row_stride, row_stride, depth_stride, b, b_stride,
                           depth);
  });
}

// C (rows, columns) += A (rows, depth) B (depth, columns), columns a multiple of the lanes. The depth is cut
// so that a panel of B stays in L1 while every row of A passes it.
constexpr int64_t kPanelDepth = 64;

// how often add_product asks `ahead` for a share
template <class T>
MAMRL_FN int64_t product_tiles(int64_t rows, int64_t depth, int64_t columns) {
  const int64_t vectors = columns / kLanes<T>;
  return (depth + kPanelDepth - 1) / kPanelDepth * (vectors / kTileVectors + vectors % kTileVectors) *
         (rows / kTileRows + 1);
}

template <class T>
static void add_product(T* c, int64_t c_stride, const T* a, int64_t row_stride, int64_t depth_stride, const T* b,
                        int64_t b_stride, int64_t rows, int64_t depth, int64_t columns, Ahead& ahead) {
  for (int64_t k = 0; k < depth; k += kPanelDepth) {
    const int64_t panel = smaller(kPanelDepth, depth - k);
    const T* a_panel = a + k * depth_stride;
    int64_t j = 0;
    for (; j + kTileVectors * kLanes<T> <= columns; j += kTileVectors * kLanes<T>) {
      add_product_columns<kTileVectors>(c + j, c_stride, a_panel, row_stride, depth_stride, b + k * b_stride + j,
                                        b_stride, rows, panel, ahead);
    }
    for (; j < columns; j += kLanes<T>) {
      add_product_columns<1>(c + j, c_stride, a_panel, row_stride, depth_stride, b + k * b_stride + j, b_stride, rows,
                             panel, ahead);
    }
  }
}

template <class T>
static void add_product(T* c, int64_t c_stride, const T* a, int64_t row_stride, int64_t depth_stride, const T* b,
                        int64_t b_stride, int64_t rows, int64_t depth, int64_t columns) {
  Ahead nothing;
  add_product(c, c_stride, a, row_stride, depth_stride, b, b_stride, rows, depth, columns, nothing);
}

}  // namespace mamrl::MAMRL_SIMD
