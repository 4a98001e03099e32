// The linear baseline's sums over a chain's samples, and its predictions, where observations are vectors.
#include "common/baseline.h"

#include "common/columns.h"
#include "cpu/simd/vec.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace mamrl::MAMRL_SIMD {

constexpr int64_t kSamples = kBaselineSamples;
constexpr int64_t kWidth = kLanes<double>;
// of the Gram matrix in registers at a time
#if defined(__AVX512F__)
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileVectors = 2;

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

// gram[i..i+kRows, j..j+kVectors*kWidth] += X^T X for `samples` rows of X. A tile of few sums takes several samples at
// a time, since an addition waits four cycles for the one before it.
template <int kRows, int kVectors>
MAMRL_FN void gram_tile(const double* x, int64_t samples, int64_t width, int64_t i, int64_t j, double* gram) {
  constexpr int kAtOnce = kRows * kVectors < 8 ? 8 / (kRows * kVectors) : 1;
  Vec<double> sums[kAtOnce][kRows][kVectors] = {};
  int64_t n = 0;
  for (; n + kAtOnce <= samples; n += kAtOnce) {
    for (int u = 0; u < kAtOnce; ++u, x += width) {
      Vec<double> columns[kVectors];
      for (int v = 0; v < kVectors; ++v) columns[v] = load(x + j + v * kWidth);
      for (int r = 0; r < kRows; ++r)
        for (int v = 0; v < kVectors; ++v) sums[u][r][v] += broadcast(x[i + r]) * columns[v];
    }
  }
  for (; n < samples; ++n, x += width)
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVectors; ++v) sums[0][r][v] += broadcast(x[i + r]) * load(x + j + v * kWidth);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      double* to = gram + (i + r) * width + j + v * kWidth;
      Vec<double> total = load(to);
      for (int u = 0; u < kAtOnce; ++u) total += sums[u][r][v];
      store(to, total);
    }
  }
}

// the rows [i, i + kRows) of the lower triangle
template <int kRows>
MAMRL_FN void gram_rows(const double* x, int64_t samples, int64_t width, int64_t i, double* gram) {
  int64_t vectors = (i + kRows + kWidth - 1) / kWidth, j = 0;
  for (; vectors >= kTileVectors; vectors -= kTileVectors, j += kTileVectors * kWidth)
    gram_tile<kRows, kTileVectors>(x, samples, width, i, j, gram);
  if (vectors) gram_tile<kRows, 1>(x, samples, width, i, j, gram);
}

MAMRL_FN void add_gram(const double* x, int64_t samples, int64_t width, int64_t used, double* gram) {
  int64_t i = 0;
  for (; i + kTileRows <= used; i += kTileRows) gram_rows<kTileRows>(x, samples, width, i, gram);
  if (kTileRows > 4 && i + 4 <= used) {
    gram_rows<4>(x, samples, width, i, gram);
    i += 4;
  }
  if (i + 2 <= used) {
    gram_rows<2>(x, samples, width, i, gram);
    i += 2;
  }
  if (i < used) gram_rows<1>(x, samples, width, i, gram);
}

// times[p] += z[p] * sum of the rows [first, last) of X
MAMRL_FN void add_times(const double* x, int64_t first, int64_t last, int64_t width, const double* z, double* times) {
  constexpr int64_t kAtOnce = 4;
  for (int64_t j = 0; j < width; j += kWidth) {
    Vec<double> sums[kAtOnce] = {};
    int64_t n = first;
    for (; n + kAtOnce <= last; n += kAtOnce)
      for (int64_t u = 0; u < kAtOnce; ++u) sums[u] += load(x + (n + u) * width + j);
    for (; n < last; ++n) sums[0] += load(x + n * width + j);
    const Vec<double> sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int p = 0; p < kTimeFeatures; ++p) {
      double* to = times + p * width + j;
      store(to, load(to) + broadcast(z[p]) * sum);
    }
  }
}

// Vectors are stored whole: what spills over is overwritten by what comes next, in the order obs, obs^2, return, next
// sample. `readable` says how many numbers follow in memory; kVectors is as in predict_row.
template <int kVectors, class T>
static void expand_samples(const T* observation, const T* returns, int64_t count, int64_t readable, int64_t size,
                           int64_t width, double* sample) {
  const int64_t vectors = kVectors ? kVectors : (size + kWidth - 1) / kWidth;
  for (int64_t n = 0; n < count; ++n, observation += size, readable -= size, sample += width) {
    if (vectors * kWidth <= readable) {
      for (int64_t v = 0; v < vectors; ++v) store(sample + v * kWidth, load_doubles(observation + v * kWidth));
      for (int64_t v = 0; v < vectors; ++v) {
        const Vec<double> value = load_doubles(observation + v * kWidth);
        store(sample + size + v * kWidth, value * value);
      }
    } else {
      for (int64_t o = 0; o < size; ++o) {
        sample[o] = double(observation[o]);
        sample[size + o] = sample[o] * sample[o];
      }
    }
    sample[2 * size] = double(returns[n]);
  }
}

template <class T>
void baseline_sums(const BaselineChain<T>& op, double* x, double* gram, double* times) {
  const int64_t size = op.size, width = op.width(), row_stride = op.chains * op.trajectories;
  const int64_t numbers = op.horizon * row_stride * size;
  const int64_t vectors = (size + kWidth - 1) / kWidth;
  const auto expand = vectors == 1   ? expand_samples<1, T>
                      : vectors == 2 ? expand_samples<2, T>
                      : vectors == 3 ? expand_samples<3, T>
                                     : expand_samples<0, T>;
  int64_t filled = 0;
  for (int64_t t = 0; t < op.horizon; ++t) {
    double z[kTimeFeatures];
    time_features(t, z);
    const int64_t row = t * row_stride + op.chain * op.trajectories;
    for (int64_t k = 0; k < op.trajectories;) {
      const int64_t first = filled, count = smaller(op.trajectories - k, kSamples - filled);
      const int64_t sample = row + k;
      expand(op.observations + sample * size, op.returns + sample, count, numbers - sample * size, size, width,
             x + filled * width);
      k += count;
      filled += count;
      add_times(x, first, filled, width, z, times);
      if (filled == kSamples) {
        add_gram(x, filled, width, op.used(), gram);
        filled = 0;
      }
    }
  }
  add_gram(x, filled, width, op.used(), gram);
}

// Lane n of the result is the sum of sums[n]: neighbours are added and packed until one vector is left.
MAMRL_FN Vec<double> sum_each(Vec<double>* sums) {
  typedef int64_t Mask __attribute__((vector_size(kVectorBytes)));
  Mask even, odd;
  for (int64_t lane = 0; lane < kWidth; ++lane) {
    even[lane] = 2 * lane;
    odd[lane] = 2 * lane + 1;
  }
  for (int64_t count = kWidth; count > 1; count /= 2)
    for (int64_t n = 0; n < count / 2; ++n)
      sums[n] =
          __builtin_shuffle(sums[2 * n], sums[2 * n + 1], even) + __builtin_shuffle(sums[2 * n], sums[2 * n + 1], odd);
  return sums[0];
}

// Predictions of `kWidth` samples at a time, as far as whole vectors may be read; returns how many were made. kVectors
// is what an observation takes, and 0 where that is not known to the compiler.
template <int kVectors, class T>
static int64_t predict_row(const T* observations, int64_t count, int64_t readable, int64_t size, double at_time,
                           const double* linear, const double* square, T* predictions) {
  const int64_t vectors = kVectors ? kVectors : (size + kWidth - 1) / kWidth;
  int64_t k = 0;
  for (; k + kWidth <= count && (k + kWidth - 1) * size + vectors * kWidth <= readable; k += kWidth) {
    Vec<double> sums[kWidth];
    for (int64_t n = 0; n < kWidth; ++n) {
      const T* observation = observations + (k + n) * size;
      Vec<double> sum = {};
      for (int64_t v = 0; v < vectors; ++v) {
        const Vec<double> value = load_doubles(observation + v * kWidth);
        sum += value * (load(linear + v * kWidth) + value * load(square + v * kWidth));
      }
      sums[n] = sum;
    }
    store_narrow(predictions + k, sum_each(sums) + broadcast(at_time));
  }
  return k;
}

// weights: those of obs, then those of obs^2, each padded with zeros to a multiple of 8; then of the time features
template <class T>
void baseline_predict(const BaselineChain<T>& op, const double* weights) {
  const int64_t size = op.size, padded = (size + 7) / 8 * 8, row_stride = op.chains * op.trajectories;
  const int64_t vectors = (size + kWidth - 1) / kWidth;
  const int64_t numbers = op.horizon * row_stride * size;
  const auto predict = vectors == 1   ? predict_row<1, T>
                       : vectors == 2 ? predict_row<2, T>
                       : vectors == 3 ? predict_row<3, T>
                                      : predict_row<0, T>;
  const double *linear = weights, *square = weights + padded, *time_weights = weights + 2 * padded;
  for (int64_t t = 0; t < op.horizon; ++t) {
    double z[kTimeFeatures], at_time = 0;
    time_features(t, z);
    for (int p = 0; p < kTimeFeatures; ++p) at_time += z[p] * time_weights[p];
    const int64_t row = t * row_stride + op.chain * op.trajectories, readable = numbers - row * size;
    const T* observations = op.observations + row * size;
    T* predictions = op.predictions + row;
    int64_t k = predict(observations, op.trajectories, readable, size, at_time, linear, square, predictions);
    for (; k < op.trajectories; ++k) {
      double sum = at_time;
      for (int64_t o = 0; o < size; ++o) {
        const double value = double(observations[k * size + o]);
        sum += value * (linear[o] + value * square[o]);
      }
      predictions[k] = T(sum);
    }
  }
}

#define MAMRL_INSTANTIATE(T)                                                          \
  template void baseline_sums<T>(const BaselineChain<T>&, double*, double*, double*); \
  template void baseline_predict<T>(const BaselineChain<T>&, const double*);
MAMRL_INSTANTIATE(float)
MAMRL_INSTANTIATE(double)

}  // namespace mamrl::MAMRL_SIMD
