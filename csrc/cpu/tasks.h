// Runs the tasks of a SIMD kernel over torch's threads, each thread with memory of its own.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdint>
#include <cstdlib>
#include <new>

namespace mamrl {

// Scratch memory that starts on a cache line.
class Scratch {
 public:
  explicit Scratch(int64_t bytes)
      : data_(static_cast<char*>(std::aligned_alloc(64, static_cast<size_t>((bytes + 64) / 64 * 64)))) {
    if (!data_) throw std::bad_alloc();
  }
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  char* data() const { return data_; }

 private:
  char* data_;
};

// run(first, last, memory) over [0, tasks)
template <class F>
void run_tasks(int64_t tasks, int64_t scratch_bytes, const F& run) {
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t first, int64_t last) {
    const Scratch memory(scratch_bytes);
    run(first, last, memory.data());
  });
}

}  // namespace mamrl
