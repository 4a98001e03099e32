// Runs the tasks of a SIMD kernel over torch's threads, each thread with memory of its own.
#pragma once

#include <torch/csrc/stable/ops.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <new>

namespace mamrl {

constexpr int64_t kHugePage = int64_t{1} << 21;

// Asks for huge pages: a page fault for each 4 KiB of fresh memory costs as much as writing it.
inline void prefer_huge_pages(void* data, int64_t bytes) {
#ifdef __linux__
  const uintptr_t start = reinterpret_cast<uintptr_t>(data), page = static_cast<uintptr_t>(kHugePage);
  const uintptr_t first = (start + page - 1) / page * page,
                  last = (start + static_cast<uintptr_t>(bytes)) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)data, (void)bytes;
#endif
}

// Scratch memory that starts on a cache line.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) {
    const int64_t alignment = bytes < kHugePage ? 64 : kHugePage;
    const int64_t size = (bytes + alignment) / alignment * alignment;
    data_ = static_cast<char*>(std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(size)));
    if (!data_) throw std::bad_alloc();
    prefer_huge_pages(data_, size);
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
