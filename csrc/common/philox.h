// Philox4x32-10 (Salmon et al. 2011): random numbers as a function of a counter, so that a draw depends on
// its seed, chain, trajectory, time and player alone, never on which thread or device makes it.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

struct PhiloxWords {
  uint32_t word[4];
};

MAMRL_FN PhiloxWords philox(PhiloxWords counter, uint32_t key0, uint32_t key1) {
  uint32_t c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(c0) * 0xD2511F53u;
    const uint64_t product1 = static_cast<uint64_t>(c2) * 0xCD9E8D57u;
    c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<uint32_t>(product1);
    c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<uint32_t>(product0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// players that share one counter
constexpr int kPlayersPerDraw = 4;

// The words that decide the actions of players 4 group .. 4 group + 3 at one time.
MAMRL_FN PhiloxWords action_words(int64_t seed, int64_t stream, int64_t time, int64_t trajectory, int64_t group) {
  const PhiloxWords counter = {{static_cast<uint32_t>(time), static_cast<uint32_t>(trajectory + (group << 24)),
                                static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)}};
  return philox(counter, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// [0, 1) in multiples of 2^-24: exact in float32
template <class T>
MAMRL_FN T unit_uniform(uint32_t word) {
  return static_cast<T>(word >> 8) * static_cast<T>(1.0 / 16777216.0);
}

}  // namespace mamrl
