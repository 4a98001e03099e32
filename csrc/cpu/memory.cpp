#include "cpu/memory.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace mamrl {
namespace {

// a multiple of every page size that systems use
constexpr int64_t kPage = int64_t{1} << 16;
constexpr int64_t kCacheLine = 64;

// MAMRL_POISON=1 fills fresh memory with NaN (and -1 in integers), so that what nobody wrote shows in any result that
// it reaches. For tests.
void poison(void* data, int64_t bytes) {
  static const bool asked = [] {
    const char* const value = std::getenv("MAMRL_POISON");
    return value && *value && *value != '0';
  }();
  if (asked) std::memset(data, 0xff, static_cast<size_t>(bytes));
}

int64_t round_up(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

// `bytes` a multiple of `alignment`
void* allocate(int64_t bytes, int64_t alignment) {
  void* data = std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(bytes));
  if (!data) throw std::bad_alloc();
  return data;
}

#ifdef __linux__
// Straight from the system, whole pages from a huge one's start on, so that freeing it hands it back.
void* map_pages(int64_t bytes) {
  const size_t size = static_cast<size_t>(bytes), page = static_cast<size_t>(kHugePage);
  void* mapped = mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  char* const from = static_cast<char*>(mapped);
  const size_t before = (page - reinterpret_cast<uintptr_t>(from) % page) % page;
  if (before) munmap(from, before);
  if (before < page) munmap(from + before + size, page - before);
  return from + before;
}
void unmap_pages(void* data, int64_t bytes) { munmap(data, static_cast<size_t>(bytes)); }
#else
void* map_pages(int64_t bytes) { return allocate(round_up(bytes, kHugePage), kHugePage); }
void unmap_pages(void* data, int64_t) { std::free(data); }
#endif

// Large blocks, in use and idle. Together they never are more than were in use at one time.
class LargeBlocks {
 public:
  void* take(int64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto block = idle_.lower_bound(bytes);
    if (block == idle_.end() || block->first > bytes + bytes / 4) block = add(bytes);
    const auto [size, data] = *block;
    idle_.erase(block);
    idle_bytes_ -= size;
    in_use_.emplace(data, size);
    in_use_bytes_ += size;
    most_in_use_ = std::max(most_in_use_, in_use_bytes_);
    return data;
  }

  // false where it is none of these
  bool give_back(void* data) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto block = in_use_.find(data);
    if (block == in_use_.end()) return false;
    in_use_bytes_ -= block->second;
    idle_bytes_ += block->second;
    // before others of its size: what was freed last is in the cache still
    idle_.emplace_hint(idle_.lower_bound(block->second), block->second, data);
    in_use_.erase(block);
    return true;
  }

  int64_t release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int64_t released = idle_bytes_;
    release_until(0);
    most_in_use_ = in_use_bytes_;
    return released;
  }

 private:
  using Idle = std::multimap<int64_t, void*>;

  // Idle blocks that are too small or too large for it make room for a new one.
  Idle::iterator add(int64_t bytes) {
    const int64_t size = round_up(bytes, kPage);
    release_until(std::max(int64_t{0}, most_in_use_ - in_use_bytes_ - size));
    void* data = map_pages(size);
    prefer_huge_pages(data, size);
    idle_bytes_ += size;
    return idle_.emplace(size, data);
  }

  void release_until(int64_t idle_bytes) {
    while (idle_bytes_ > idle_bytes) {
      const auto largest = std::prev(idle_.end());
      idle_bytes_ -= largest->first;
      unmap_pages(largest->second, largest->first);
      idle_.erase(largest);
    }
  }

  std::mutex mutex_;
  Idle idle_;
  std::unordered_map<void*, int64_t> in_use_;
  int64_t idle_bytes_ = 0, in_use_bytes_ = 0, most_in_use_ = 0;
};

// never destroyed: tensors may outlive it
LargeBlocks& large_blocks() {
  static LargeBlocks* const blocks = new LargeBlocks;
  return *blocks;
}

}  // namespace

void prefer_huge_pages(void* data, int64_t bytes) {
#ifdef __linux__
  const uintptr_t start = reinterpret_cast<uintptr_t>(data), page = static_cast<uintptr_t>(kHugePage);
  const uintptr_t first = (start + page - 1) / page * page,
                  last = (start + static_cast<uintptr_t>(bytes)) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)data, (void)bytes;
#endif
}

void* take_memory(int64_t bytes) {
  void* const data = bytes >= kHugePage ? large_blocks().take(bytes)
                                        : allocate(round_up(std::max(bytes, int64_t{1}), kCacheLine), kCacheLine);
  poison(data, bytes);
  return data;
}

void give_back_memory(void* data) {
  if (!large_blocks().give_back(data)) std::free(data);
}

int64_t release_memory() { return large_blocks().release(); }

Tensor allocate_tensor(const Tensor& like, const int64_t* sizes, int64_t dims) {
  int64_t bytes = static_cast<int64_t>(like.element_size());
  for (int64_t i = 0; i < dims; ++i) bytes *= sizes[i];
  if (bytes < kHugePage) {
    Tensor made = empty_row_major(like, sizes, dims);
    poison(made.mutable_data_ptr(), bytes);
    return made;
  }
  const size_t count = static_cast<size_t>(dims);
  std::vector<int64_t> strides(count, 1);
  for (size_t i = count - 1; i > 0; --i) strides[i - 1] = strides[i] * sizes[i];
  return torch::stable::from_blob(take_memory(bytes), {sizes, count}, strides, like.device(), like.scalar_type(),
                                  &give_back_memory);
}

}  // namespace mamrl

// takes no tensor, so it belongs to no device
STABLE_TORCH_LIBRARY_IMPL(mamrl, CompositeImplicitAutograd, m) {
  m.impl("release_memory", TORCH_BOX(&mamrl::release_memory));
}
