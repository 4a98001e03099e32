// Registers of this file's instruction set, by GCC's vector extensions. Everything in csrc/cpu/simd lives in
// the level's own namespace (MAMRL_SIMD) or is inlined always: a template that two levels shared could be
// linked from the wrong one.
#pragma once

#include <cstdint>
#include <utility>

#include "common/host_device.h"

namespace mamrl::MAMRL_SIMD {

#if defined(__AVX512F__)
constexpr int64_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int64_t kVectorBytes = 32;
#else
constexpr int64_t kVectorBytes = 16;
#endif

template <class T, int64_t kBytes>
struct VecOf {
  typedef T type __attribute__((vector_size(kBytes)));
};
template <class T>
using Vec = typename VecOf<T, kVectorBytes>::type;
template <class T>
constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));

template <class T, int64_t kBytes = kVectorBytes>
MAMRL_FN typename VecOf<T, kBytes>::type load(const T* from) {
  typename VecOf<T, kBytes>::type v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}

template <class T, int64_t kBytes = kVectorBytes>
MAMRL_FN void store(T* to, typename VecOf<T, kBytes>::type v) {
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

// The elements of a and b that are even and odd, added: neighbours within 16 bytes (kWithin), or, where these are sums
// already, the 16 bytes beside each other.
template <bool kWithin, class T, class V, int64_t... kLane>
MAMRL_FN V add_neighbours(V a, V b, std::integer_sequence<int64_t, kLane...>) {
  constexpr int64_t kCount = sizeof...(kLane), kBlock = 16 / static_cast<int64_t>(sizeof(T)), kHalf = kBlock / 2;
  constexpr auto even = [](int64_t i) {
    const int64_t block = i / kBlock, at = i % kBlock;
    return kWithin ? (at < kHalf ? 0 : kCount) + block * kBlock + at % kHalf * 2 : 2 * block * kBlock + at;
  };
  constexpr int64_t kNext = kWithin ? 1 : kBlock;
  return __builtin_shufflevector(a, b, even(kLane)...) + __builtin_shufflevector(a, b, even(kLane) + kNext...);
}

// Lane n of the result is the sum of sums[n], as many registers V of T as they have lanes; `sums` are overwritten.
template <class T, class V, int64_t kCount = static_cast<int64_t>(sizeof(V) / sizeof(T))>
MAMRL_FN V sum_each(V* sums) {
  if constexpr (kCount > 1) {
    constexpr int64_t kAll = static_cast<int64_t>(sizeof(V) / sizeof(T));
    constexpr bool kWithin = kCount * 16 / static_cast<int64_t>(sizeof(T)) > kAll;
#pragma GCC unroll 8
    for (int64_t n = 0; n < kCount / 2; ++n) {
      sums[n] = add_neighbours<kWithin, T>(sums[2 * n], sums[2 * n + 1], std::make_integer_sequence<int64_t, kAll>());
    }
    sum_each<T, V, kCount / 2>(sums);
  }
  return sums[0];
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
