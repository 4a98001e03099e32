// The linear baseline's sums over a chain's samples, and its predictions, where observations are vectors.
#include "common/baseline.h"

#include <type_traits>

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
constexpr int kGramRows = 8, kGramVectors = 2, kEnoughSums = 18;
#elif defined(__AVX2__)
constexpr int kGramRows = 4, kGramVectors = 3, kEnoughSums = 8;
#else
constexpr int kGramRows = 4, kGramVectors = 2, kEnoughSums = 8;
#endif

// What observations are read by. They start anywhere, and a load of 64 bytes that starts anywhere lies in two cache
// lines.
constexpr int64_t kPartBytes = kVectorBytes < 32 ? kVectorBytes : 32;
template <class S>
using Part = typename VecOf<S, kPartBytes>::type;
template <class S>
constexpr int64_t kPart = kPartBytes / static_cast<int64_t>(sizeof(S));

// Numbers to doubles, a part or a register of them, and back. The compiler's own conversion of vectors takes them
// apart.
#if defined(__AVX2__)
MAMRL_FN Part<double> part_of_doubles(const float* from) { return (Part<double>)_mm256_cvtps_pd(_mm_loadu_ps(from)); }
MAMRL_FN void store_narrow(float* to, Part<double> v) { _mm_storeu_ps(to, _mm256_cvtpd_ps((__m256d)v)); }
#else
MAMRL_FN Part<double> part_of_doubles(const float* from) { return Part<double>{double(from[0]), double(from[1])}; }
MAMRL_FN void store_narrow(float* to, Part<double> v) {
  to[0] = float(v[0]);
  to[1] = float(v[1]);
}
#endif
#if defined(__AVX512F__)
MAMRL_FN Vec<double> load_doubles(const float* from) {
  return (Vec<double>)_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(from));
}
#else
MAMRL_FN Vec<double> load_doubles(const float* from) { return part_of_doubles(from); }
#endif
MAMRL_FN Vec<double> load_doubles(const double* from) { return load(from); }

// kPart<S> numbers as S
template <class S, class T>
MAMRL_FN Part<S> load_part(const T* from) {
  if constexpr (std::is_same_v<S, T>) {
    return load<S, kPartBytes>(from);
  } else {
    return part_of_doubles(from);
  }
}

template <class S>
MAMRL_FN void store_part(S* to, Part<S> part) {
  store<S, kPartBytes>(to, part);
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
  constexpr int kAtOnce = kRows * kVectors < kEnoughSums ? kEnoughSums / (kRows * kVectors) : 1;
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

// `vectors` vectors from j on of the rows [i, i + kRows), kVectors at a time; four are better two and two than three
// and one
template <int kRows, int kVectors, class S>
MAMRL_FN void gram_columns(const S* x, int64_t samples, int64_t width, int64_t i, int64_t j, int64_t vectors,
                           double* gram) {
  for (; vectors >= kVectors && (kVectors != 3 || vectors != 4); vectors -= kVectors, j += kVectors * kLanes<S>)
    gram_tile<kRows, kVectors>(x, samples, width, i, j, gram);
  if constexpr (kVectors > 1) gram_columns<kRows, kVectors - 1>(x, samples, width, i, j, vectors, gram);
}

// the rows [i, i + kRows) of the lower triangle
template <int kRows, class S>
MAMRL_FN void gram_rows(const S* x, int64_t samples, int64_t width, int64_t i, double* gram) {
  // a few rows leave registers for another vector
  constexpr int kMost = kRows < kGramRows && kGramVectors < 3 ? kGramVectors + 1 : kGramVectors;
  gram_columns<kRows, kMost>(x, samples, width, i, 0, (i + kRows + kLanes<S> - 1) / kLanes<S>, gram);
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
MAMRL_FN int64_t parts_of(int64_t size) {
  return (size + kPart<S> - 1) / kPart<S>;
}

// f<kParts>() of an observation's parts, or f<0>() where they are too many for the registers
template <class S, class F>
MAMRL_FN auto by_parts(int64_t size, F&& f) {
  switch (parts_of<S>(size)) {
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

// kPart<S> numbers as S where only the first `count` may be read; the others are 0
template <class S, class T>
MAMRL_FN Part<S> load_some(const T* from, int64_t count) {
  T some[kPart<S>] = {};
  copy(some, from, smaller(kPart<S>, count));
  return load_part<S>(some);
}

// sums[0, count) += total
template <class S>
MAMRL_FN void add_lanes(double* sums, int64_t count, Part<S> total) {
  S numbers[kPart<S>];
  store_part(numbers, total);
  if (count >= kPart<S>) {
    for (int64_t i = 0; i < kPart<S>; i += kPart<double>) {
      store_part(sums + i, load_part<double>(sums + i) + load_part<double>(numbers + i));
    }
  } else {
    for (int64_t i = 0; i < count; ++i) sums[i] += double(numbers[i]);
  }
}

// Calls f(n, part) for each of `count` samples, where part(p) is the sample's part p. Of samples so close to the end of
// memory that a whole part would reach past it, only what is theirs is read.
template <class S, class T, class F>
MAMRL_FN void for_observations(const T* observations, int64_t count, int64_t readable, int64_t size, int64_t parts,
                               F&& f) {
  const int64_t reach = parts * kPart<S>;
  const int64_t whole = size == 0 ? count : readable < reach ? 0 : smaller(count, (readable - reach) / size + 1);
  int64_t n = 0;
  for (; n < whole; ++n)
    f(n,
      [&](int64_t p) __attribute__((always_inline)) { return load_part<S>(observations + n * size + p * kPart<S>); });
  for (; n < count; ++n) {
    f(n, [&](int64_t p) __attribute__((always_inline)) {
      return load_some<S>(observations + n * size + p * kPart<S>, size - p * kPart<S>);
    });
  }
}

// Rows [obs, obs^2, return] of `count` samples, and their sum added to `sums`. Parts are stored whole, in an order in
// which what comes next overwrites what spills over. kParts is what an observation takes, so that its sums stay in
// registers, and 0 where that is too many; `readable` says how many numbers follow in memory; the bits do not depend on
// it.
template <int kParts, class S, class T>
static void expand_samples(const T* observations, const T* returns, int64_t count, int64_t readable, int64_t size,
                           int64_t width, S* rows, double* sums) {
  if constexpr (kParts != 0) {
    Part<S> totals[2][kParts] = {};
    for_observations<S>(observations, count, readable, size, kParts,
                        [&](int64_t n, const auto& part) __attribute__((always_inline)) {
                          S* row = rows + n * width;
                          Part<S> values[kParts];
#pragma GCC unroll 4
                          for (int p = 0; p < kParts; ++p) {
                            values[p] = part(p);
                            store_part(row + p * kPart<S>, values[p]);
                            totals[0][p] += values[p];
                          }
#pragma GCC unroll 4
                          for (int p = 0; p < kParts; ++p) {
                            const Part<S> square = values[p] * values[p];
                            store_part(row + size + p * kPart<S>, square);
                            totals[1][p] += square;
                          }
                          row[2 * size] = S(returns[n]);
                        });
    for (int power = 0; power < 2; ++power)
      for (int p = 0; p < kParts; ++p)
        add_lanes<S>(sums + power * size + p * kPart<S>, size - p * kPart<S>, totals[power][p]);
  } else {
    const int64_t parts = parts_of<S>(size);
    for_observations<S>(observations, count, readable, size, parts,
                        [&](int64_t n, const auto& part) __attribute__((always_inline)) {
                          S* row = rows + n * width;
                          for (int64_t p = 0; p < parts; ++p) store_part(row + p * kPart<S>, part(p));
                          for (int64_t p = 0; p < parts; ++p) {
                            const Part<S> again = load_part<S>(row + p * kPart<S>);
                            store_part(row + size + p * kPart<S>, again * again);
                          }
                          row[2 * size] = S(returns[n]);
                        });
    for (int64_t j = 0; j < 2 * size; j += kPart<S>) {
      Part<S> total = {};
      for (int64_t n = 0; n < count; ++n) total += load_part<S>(rows + n * width + j);
      add_lanes<S>(sums + j, 2 * size - j, total);
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
  const auto expand = by_parts<S>(size, []<int kParts>() { return expand_samples<kParts, S, T>; });
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

// Predictions of kPart<S> samples at a time. kParts is what an observation takes, and 0 where that is not known to the
// compiler; `readable` is as in expand_samples.
template <int kParts, class S, class T>
static void predict_row(const T* observations, int64_t count, int64_t readable, int64_t size, S at_time,
                        const S* linear, const S* square, T* predictions) {
  constexpr int64_t kAtOnce = kPart<S>;
  const int64_t parts = kParts ? kParts : parts_of<S>(size);
  const auto term = [&](Part<S> value, int64_t p) __attribute__((always_inline)) {
    return value * (load_part<S>(linear + p * kPart<S>) + value * load_part<S>(square + p * kPart<S>));
  };
  int64_t k = 0;
  for (; k + kAtOnce <= count && (k + kAtOnce - 1) * size + parts * kPart<S> <= readable; k += kAtOnce) {
    Part<S> sums[kAtOnce];
#pragma GCC unroll 8
    for (int64_t n = 0; n < kAtOnce; ++n) {
      const T* observation = observations + (k + n) * size;
      Part<S> sum = {};
      for (int64_t p = 0; p < parts; ++p) sum += term(load_part<S>(observation + p * kPart<S>), p);
      sums[n] = sum;
    }
    const Part<S> predicted = sum_each<S>(sums) + at_time;
    if constexpr (std::is_same_v<S, T>) {
      store_part(predictions + k, predicted);
    } else {
      store_narrow(predictions + k, predicted);
    }
  }
  for (; k < count; k += kAtOnce) {
    const int64_t left = smaller(kAtOnce, count - k);
    Part<S> sums[kAtOnce] = {};
    for (int64_t n = 0; n < left; ++n) {
      const T* observation = observations + (k + n) * size;
      for (int64_t p = 0; p < parts; ++p)
        sums[n] += term(load_some<S>(observation + p * kPart<S>, size - p * kPart<S>), p);
    }
    const Part<S> predicted = sum_each<S>(sums) + at_time;
    for (int64_t n = 0; n < left; ++n) predictions[k + n] = T(predicted[n]);
  }
}

template <class S, class T>
MAMRL_FN void predict(const BaselineChain<T>& op, const double* weights, S* memory) {
  const int64_t size = op.size, padded = op.padded(), row_stride = op.chains * op.trajectories;
  const int64_t numbers = op.horizon * row_stride * size;
  const auto predict_samples = by_parts<S>(size, []<int kParts>() { return predict_row<kParts, S, T>; });
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
