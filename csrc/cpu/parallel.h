// Loops over torch's threads. ThreadSanitizer cannot see how libgomp, which is behind these, waits for its threads, and
// would call every result a race: a build for it (MAMRL_SANITIZE=thread) starts threads of its own instead.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdint>

#ifdef MAMRL_OWN_THREADS
#include <algorithm>
#include <thread>
#include <vector>
#endif

namespace mamrl {

// f(first, last) over [begin, end), in pieces of at least `grain`
template <class F>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const F& f) {
#ifdef MAMRL_OWN_THREADS
  constexpr int64_t kThreads = 4;
  const int64_t piece = std::max((end - begin + kThreads - 1) / kThreads, grain);
  std::vector<std::thread> threads;
  for (int64_t first = begin; first < end; first += piece) {
    threads.emplace_back([&f, first, last = std::min(first + piece, end)] { f(first, last); });
  }
  for (std::thread& thread : threads) thread.join();
#else
  torch::stable::parallel_for(begin, end, grain, f);
#endif
}

}  // namespace mamrl
