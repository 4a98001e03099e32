// Registers of this file's instruction set, by GCC's vector extensions. Everything in csrc/cpu/simd lives in
// the level's own namespace (MAMRL_SIMD) or is inlined always: a template that two levels shared could be
// linked from the wrong one.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace mamrl::MAMRL_SIMD {

#if defined(__AVX512F__)
constexpr int64_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int64_t kVectorBytes = 32;
#else
constexpr int64_t kVectorBytes = 16;
#endif

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));

template <class T>
MAMRL_FN Vec<T> load(const T* from) {
  Vec<T> v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}

template <class T>
MAMRL_FN void store(T* to, Vec<T> v) {
  __builtin_memcpy(to, &v, sizeof(v));
}

template <class T>
MAMRL_FN Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

template <class T>
MAMRL_FN T sum(Vec<T> v) {
  T total = 0;
  for (int64_t lane = 0; lane < kLanes<T>; ++lane) total += v[lane];
  return total;
}

MAMRL_FN int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T>
MAMRL_FN void copy(T* to, const T* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

template <class T>
MAMRL_FN void fill_zero(T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = 0;
}

// Cuts one allocation into arrays that start on a cache line; from null it only counts.
struct Arena {
  char* base;
  int64_t used = 0;

  template <class T>
  __attribute__((always_inline)) T* take(int64_t count) {
    T* array = reinterpret_cast<T*>(base + used);
    used += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return array;
  }
};

// Memory that the next time step will touch, asked for a little with every tile of this one, so that it arrives in L2
// while the FMAs run. Reads and writes alike.
struct Ahead {
  static constexpr int kRanges = 3;
  const char* at[kRanges] = {};
  const char* end[kRanges] = {};
  int64_t share[kRanges] = {};
  int ranges = 0;

  // [from, from + count) in equal shares for `tiles` tiles
  template <class T>
  __attribute__((always_inline)) void add(const T* from, int64_t count, int64_t tiles) {
    at[ranges] = reinterpret_cast<const char*>(from);
    end[ranges] = reinterpret_cast<const char*>(from + count);
    share[ranges] = ((end[ranges] - at[ranges]) / tiles + 64) / 64 * 64;
    ++ranges;
  }

  __attribute__((always_inline)) void next() {
    for (int r = 0; r < ranges; ++r) {
      const char* const stop = at[r] + share[r] < end[r] ? at[r] + share[r] : end[r];
      for (; at[r] < stop; at[r] += 64) __builtin_prefetch(at[r], 0, 2);
    }
  }
};

}  // namespace mamrl::MAMRL_SIMD
