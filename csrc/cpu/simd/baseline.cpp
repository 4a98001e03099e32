// The linear baseline's sums over a chain's samples, and its predictions, where observations are vectors.
#include "common/baseline.h"

#include <type_traits>
#include <utility>

#include "common/columns.h"
#include "cpu/simd/multiply.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace mamrl::MAMRL_SIMD {

constexpr int64_t kSamples = kBaselineSamples;
constexpr int64_t kWidth = kLanes<double>;
// of the Gram matrix in registers at a time
#if defined(__AVX512F__)
constexpr int kGramRows = 8, kGramVectors = 2;
#elif defined(__AVX2__)
constexpr int kGramRows = 4, kGramVectors = 3;
#else
constexpr int kGramRows = 4, kGramVectors = 2;
#endif

// kWidth numbers to doubles, and back. The compiler's own conversion of vectors takes them apart.
MAMRL_FN Vec<double> load_doubles(const double* from) { return load(from); }
MAMRL_FN void store_narrow(double* to, Vec<double> v) { store(to, v); }
#if defined(__AVX512F__)
MAMRL_FN Vec<double> load_doubles(const float* from) {
  return (Vec<double>)_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(from));
}
MAMRL_FN void store_narrow(float* to, Vec<double> v) { _mm256_storeu_ps(to, _mm512_maskz_cvtpd_ps(0xff, (__m512d)v)); }
#elif defined(__AVX2__)
MAMRL_FN Vec<double> load_doubles(const float* from) { return (Vec<double>)_mm256_cvtps_pd(_mm_loadu_ps(from)); }
MAMRL_FN void store_narrow(float* to, Vec<double> v) { _mm_storeu_ps(to, _mm256_cvtpd_ps((__m256d)v)); }
#else
MAMRL_FN Vec<double> load_doubles(const float* from) { return Vec<double>{double(from[0]), double(from[1])}; }
MAMRL_FN void store_narrow(float* to, Vec<double> v) {
  to[0] = float(v[0]);
  to[1] = float(v[1]);
}
#endif

// kLanes<S> numbers as S
template <class S, class T>
MAMRL_FN Vec<S> load_as(const T* from) {
  if constexpr (std::is_same_v<S, T>) {
    return load(from);
  } else {
    return load_doubles(from);
  }
}

MAMRL_FN void add_to(double* to, Vec<double> v) { store(to, load(to) + v); }
MAMRL_FN void add_to(double* to, Vec<float> v) {
  float halves[2 * kWidth];
  store(halves, v);
  add_to(to, load_doubles(halves));
  add_to(to + kWidth, load_doubles(halves + kWidth));
}

// gram[i..i+kRows, j..j+kVectors*lanes] += X^T X for `samples` rows of X, summed in S. A tile of few sums takes several
// samples at a time, since an addition waits four cycles for the one before it.
template <int kRows, int kVectors, class S>
MAMRL_TILE void gram_tile(const S* x, int64_t samples, int64_t width, int64_t i, int64_t j, double* gram) {
  constexpr int kAtOnce = kRows * kVectors < 8 ? 8 / (kRows * kVectors) : 1;
  Vec<S> sums[kAtOnce][kRows][kVectors] = {};
  int64_t n = 0;
  for (; n + kAtOnce <= samples; n += kAtOnce)
#pragma GCC unroll 8
    for (int u = 0; u < kAtOnce; ++u, x += width) multiply(sums[u], x + i, 1, width, x + j, width, 1);
  for (; n < samples; ++n, x += width) multiply(sums[0], x + i, 1, width, x + j, width, 1);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      Vec<S> total = sums[0][r][v];
      for (int u = 1; u < kAtOnce; ++u) total += sums[u][r][v];
      add_to(gram + (i + r) * width + j + v * kLanes<S>, total);
    }
  }
}

// the rows [i, i + kRows) of the lower triangle; four vectors are better two and two than three and one
template <int kRows, class S>
MAMRL_FN void gram_rows(const S* x, int64_t samples, int64_t width, int64_t i, double* gram) {
  int64_t vectors = (i + kRows + kLanes<S> - 1) / kLanes<S>, j = 0;
  for (; vectors >= kGramVectors && vectors != 4; vectors -= kGramVectors, j += kGramVectors * kLanes<S>)
    gram_tile<kRows, kGramVectors>(x, samples, width, i, j, gram);
  for (; vectors >= 2; vectors -= 2, j += 2 * kLanes<S>) gram_tile<kRows, 2>(x, samples, width, i, j, gram);
  if (vectors) gram_tile<kRows, 1>(x, samples, width, i, j, gram);
}

template <class S>
MAMRL_FN void add_gram(const S* x, int64_t samples, int64_t width, int64_t used, double* gram) {
  int64_t i = 0;
  if (kLanes<S> == 2 * kGramRows && kLanes<S> <= used) {
    // one vector wide: twice as tall, it reads fewer numbers for each that it adds
    gram_tile<2 * kGramRows, 1>(x, samples, width, 0, 0, gram);
    i = 2 * kGramRows;
  }
  for (; i + kGramRows <= used; i += kGramRows) gram_rows<kGramRows>(x, samples, width, i, gram);
  if (kGramRows > 4 && i + 4 <= used) {
    gram_rows<4>(x, samples, width, i, gram);
    i += 4;
  }
  if (i + 2 < used) {
    gram_rows<3>(x, samples, width, i, gram);
  } else if (i + 1 < used) {
    gram_rows<2>(x, samples, width, i, gram);
  } else if (i < used) {
    gram_rows<1>(x, samples, width, i, gram);
  }
}

// that an observation takes
template <class S>
MAMRL_FN int64_t vectors_of(int64_t size) {
  return (size + kLanes<S> - 1) / kLanes<S>;
}

// f<kVectors>() of an observation's vectors, or f<0>() where they are too many for the registers
template <class S, class F>
MAMRL_FN auto by_vectors(int64_t size, F&& f) {
  switch (vectors_of<S>(size)) {
    case 1:
      return f.template operator()<1>();
    case 2:
      return f.template operator()<2>();
    case 3:
      return f.template operator()<3>();
    default:
      return f.template operator()<0>();
  }
}

// kLanes<S> numbers as S where only the first `count` may be read; the others are 0
template <class S, class T>
MAMRL_FN Vec<S> load_some(const T* from, int64_t count) {
  T some[kLanes<S>] = {};
  copy(some, from, smaller(kLanes<S>, count));
  return load_as<S>(some);
}

// sums[0, count) += total
MAMRL_FN void add_lanes(double* sums, int64_t count, Vec<double> total) {
  for (int64_t lane = 0; lane < smaller(kWidth, count); ++lane) sums[lane] += total[lane];
}
MAMRL_FN void add_lanes(double* sums, int64_t count, Vec<float> total) {
  for (int64_t lane = 0; lane < smaller(2 * kWidth, count); ++lane) sums[lane] += double(total[lane]);
}

// Calls f(n, v, value) for every vector v of each of `count` samples, a sample's in their order. Of samples so close to
// the end of memory that a whole vector would reach past it, only what is theirs is read.
template <class S, class T, class F>
MAMRL_FN void for_observations(const T* observations, int64_t count, int64_t readable, int64_t size, int64_t vectors,
                               F&& f) {
  const int64_t reach = vectors * kLanes<S>;
  const int64_t whole = size == 0 ? count : readable < reach ? 0 : smaller(count, (readable - reach) / size + 1);
  int64_t n = 0;
  for (; n < whole; ++n)
    f(n, [&](int64_t v) __attribute__((always_inline)) { return load_as<S>(observations + n * size + v * kLanes<S>); });
  for (; n < count; ++n) {
    f(n, [&](int64_t v) __attribute__((always_inline)) {
      return load_some<S>(observations + n * size + v * kLanes<S>, size - v * kLanes<S>);
    });
  }
}

// Rows [obs, obs^2, return] of `count` samples, and their sum added to `sums`. Vectors are stored whole, in an order in
// which what comes next overwrites what spills over. kVectors is what an observation takes, so that its sums stay in
// registers, and 0 where that is too many; `readable` says how many numbers follow in memory; the bits do not depend on
// it.
template <int kVectors, class S, class T>
static void expand_samples(const T* observations, const T* returns, int64_t count, int64_t readable, int64_t size,
                           int64_t width, S* rows, double* sums) {
  if constexpr (kVectors != 0) {
    Vec<S> totals[2][kVectors] = {};
    for_observations<S>(observations, count, readable, size, kVectors,
                        [&](int64_t n, const auto& value) __attribute__((always_inline)) {
                          S* row = rows + n * width;
                          Vec<S> values[kVectors];
#pragma GCC unroll 4
                          for (int v = 0; v < kVectors; ++v) {
                            values[v] = value(v);
                            store(row + v * kLanes<S>, values[v]);
                            totals[0][v] += values[v];
                          }
#pragma GCC unroll 4
                          for (int v = 0; v < kVectors; ++v) {
                            const Vec<S> square = values[v] * values[v];
                            store(row + size + v * kLanes<S>, square);
                            totals[1][v] += square;
                          }
                          row[2 * size] = S(returns[n]);
                        });
    for (int power = 0; power < 2; ++power)
      for (int v = 0; v < kVectors; ++v)
        add_lanes(sums + power * size + v * kLanes<S>, size - v * kLanes<S>, totals[power][v]);
  } else {
    const int64_t vectors = vectors_of<S>(size);
    for_observations<S>(observations, count, readable, size, vectors,
                        [&](int64_t n, const auto& value) __attribute__((always_inline)) {
                          S* row = rows + n * width;
                          for (int64_t v = 0; v < vectors; ++v) store(row + v * kLanes<S>, value(v));
                          for (int64_t v = 0; v < vectors; ++v) {
                            const Vec<S> again = load(row + v * kLanes<S>);
                            store(row + size + v * kLanes<S>, again * again);
                          }
                          row[2 * size] = S(returns[n]);
                        });
    for (int64_t j = 0; j < 2 * size; j += kLanes<S>) {
      Vec<S> total = {};
      for (int64_t n = 0; n < count; ++n) total += load(rows + n * width + j);
      add_lanes(sums + j, 2 * size - j, total);
    }
  }
  Vec<double> totals = {};
  int64_t n = 0;
  for (; n + kWidth <= count; n += kWidth) totals += load_doubles(returns + n);
  for (; n < count; ++n) totals[0] += double(returns[n]);
  sums[2 * size] += sum<double>(totals);
}

// S is what blocks of kSamples are summed in; the blocks are always added in double.
template <class S, class T>
MAMRL_FN void add_samples(const BaselineChain<T>& op, S* rows, double* gram, double* times) {
  const int64_t size = op.size, width = op.width(), row_stride = op.chains * op.trajectories;
  const int64_t numbers = op.horizon * row_stride * size;
  const auto expand = by_vectors<S>(size, []<int kVectors>() { return expand_samples<kVectors, S, T>; });
  double* sums = times + kTimeFeatures * width;
  int64_t filled = 0;
  for (int64_t t = 0; t < op.horizon; ++t) {
    const int64_t row = t * row_stride + op.chain * op.trajectories;
    fill_zero(sums, width);
    for (int64_t k = 0; k < op.trajectories;) {
      const int64_t count = smaller(op.trajectories - k, kSamples - filled), sample = row + k;
      expand(op.observations + sample * size, op.returns + sample, count, numbers - sample * size, size, width,
             rows + filled * width, sums);
      k += count;
      filled += count;
      if (filled == kSamples) {
        // the next step's arrive while the products run
        const T* next = op.observations + (row + row_stride) * size;
        if (t + 1 < op.horizon)
          for (int64_t i = 0; i < smaller(op.trajectories, kSamples) * size; i += 64 / int64_t(sizeof(T)))
            __builtin_prefetch(next + i);
        add_gram(rows, filled, width, op.used(), gram);
        filled = 0;
      }
    }
    // these features are the same all over a time step
    double z[kTimeFeatures];
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p)
      for (int64_t j = 0; j < op.used(); j += kWidth) add_to(times + p * width + j, broadcast(z[p]) * load(sums + j));
  }
  add_gram(rows, filled, width, op.used(), gram);
}

template <class T>
void baseline_sums(const BaselineChain<T>& op, double* memory, double* gram, double* times) {
  if (op.in_double) {
    add_samples(op, memory, gram, times);
  } else {
    add_samples(op, reinterpret_cast<T*>(memory), gram, times);
  }
}

// The elements of a and b that are even and odd, added: neighbours within 16 bytes (kWithin), or, where these are sums
// already, the 16 bytes beside each other.
template <bool kWithin, class S, int64_t... kLane>
MAMRL_FN Vec<S> add_neighbours(Vec<S> a, Vec<S> b, std::integer_sequence<int64_t, kLane...>) {
  constexpr int64_t kBlock = 16 / static_cast<int64_t>(sizeof(S)), kHalf = kBlock / 2;
  constexpr auto even = [](int64_t i) {
    const int64_t block = i / kBlock, at = i % kBlock;
    return kWithin ? (at < kHalf ? 0 : kLanes<S>)+block * kBlock + at % kHalf * 2 : 2 * block * kBlock + at;
  };
  constexpr int64_t kNext = kWithin ? 1 : kBlock;
  return __builtin_shufflevector(a, b, even(kLane)...) + __builtin_shufflevector(a, b, even(kLane) + kNext...);
}

// Lane n of the result is the sum of sums[n].
template <class S, int64_t kCount = kLanes<S>>
MAMRL_FN Vec<S> sum_each(Vec<S>* sums) {
  if constexpr (kCount > 1) {
    constexpr bool kWithin = kCount * 16 / static_cast<int64_t>(sizeof(S)) > kLanes<S>;
#pragma GCC unroll 8
    for (int64_t n = 0; n < kCount / 2; ++n)
      sums[n] =
          add_neighbours<kWithin, S>(sums[2 * n], sums[2 * n + 1], std::make_integer_sequence<int64_t, kLanes<S>>());
    sum_each<S, kCount / 2>(sums);
  }
  return sums[0];
}

// Predictions of kLanes<S> samples at a time. kVectors is what an observation takes, and 0 where that is not known to
// the compiler; `readable` is as in expand_samples.
template <int kVectors, class S, class T>
static void predict_row(const T* observations, int64_t count, int64_t readable, int64_t size, S at_time,
                        const S* linear, const S* square, T* predictions) {
  constexpr int64_t kAtOnce = kLanes<S>;
  const int64_t vectors = kVectors ? kVectors : vectors_of<S>(size);
  const auto term = [&](Vec<S> value, int64_t v) __attribute__((always_inline)) {
    return value * (load(linear + v * kAtOnce) + value * load(square + v * kAtOnce));
  };
  int64_t k = 0;
  for (; k + kAtOnce <= count && (k + kAtOnce - 1) * size + vectors * kAtOnce <= readable; k += kAtOnce) {
    Vec<S> sums[kAtOnce];
#pragma GCC unroll 16
    for (int64_t n = 0; n < kAtOnce; ++n) {
      const T* observation = observations + (k + n) * size;
      Vec<S> sum = {};
      for (int64_t v = 0; v < vectors; ++v) sum += term(load_as<S>(observation + v * kAtOnce), v);
      sums[n] = sum;
    }
    const Vec<S> predicted = sum_each<S>(sums) + broadcast(at_time);
    if constexpr (std::is_same_v<S, T>) {
      store(predictions + k, predicted);
    } else {
      store_narrow(predictions + k, predicted);
    }
  }
  for (; k < count; k += kAtOnce) {
    const int64_t left = smaller(kAtOnce, count - k);
    Vec<S> sums[kAtOnce] = {};
    for (int64_t n = 0; n < left; ++n) {
      const T* observation = observations + (k + n) * size;
      for (int64_t v = 0; v < vectors; ++v)
        sums[n] += term(load_some<S>(observation + v * kAtOnce, size - v * kAtOnce), v);
    }
    const Vec<S> predicted = sum_each<S>(sums) + broadcast(at_time);
    for (int64_t n = 0; n < left; ++n) predictions[k + n] = T(predicted[n]);
  }
}

template <class S, class T>
MAMRL_FN void predict(const BaselineChain<T>& op, const double* weights, S* memory) {
  const int64_t size = op.size, padded = op.padded(), row_stride = op.chains * op.trajectories;
  const int64_t numbers = op.horizon * row_stride * size;
  const auto predict_samples = by_vectors<S>(size, []<int kVectors>() { return predict_row<kVectors, S, T>; });
  S *linear = memory, *square = memory + padded;
  for (int64_t o = 0; o < 2 * padded; ++o) memory[o] = S(weights[o]);
  const double* time_weights = weights + 2 * padded;
  for (int64_t t = 0; t < op.horizon; ++t) {
    double z[kTimeFeatures], at_time = 0;
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p) at_time += z[p] * time_weights[p];
    const int64_t row = t * row_stride + op.chain * op.trajectories, readable = numbers - row * size;
    predict_samples(op.observations + row * size, op.trajectories, readable, size, S(at_time), linear, square,
                    op.predictions + row);
  }
}

// weights: those of obs, then those of obs^2, each padded with zeros to whole registers; then of the time features
template <class T>
void baseline_predict(const BaselineChain<T>& op, const double* weights, double* memory) {
  if (op.in_double) {
    predict(op, weights, memory);
  } else {
    predict(op, weights, reinterpret_cast<T*>(memory));
  }
}

#define MAMRL_INSTANTIATE(T)                                                          \
  template void baseline_sums<T>(const BaselineChain<T>&, double*, double*, double*); \
  template void baseline_predict<T>(const BaselineChain<T>&, const double*, double*);
MAMRL_INSTANTIATE(float)
MAMRL_INSTANTIATE(double)

}  // namespace mamrl::MAMRL_SIMD
