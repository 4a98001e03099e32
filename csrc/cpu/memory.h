// Memory for large results and scratch. A block that is given back is kept for the next that asks for as much: fresh
// memory has to be cleared by the system, page by page, which takes up to half as long as the kernels that fill it.
#pragma once

#include <cstdint>

#include "common/check.h"

namespace mamrl {

constexpr int64_t kHugePage = int64_t{1} << 21;

// Asks for huge pages: a page fault for each 4 KiB of fresh memory costs as much as writing it.
void prefer_huge_pages(void* data, int64_t bytes);

// A block that starts on a cache line, and from kHugePage bytes on, on a huge page; uninitialised.
void* take_memory(int64_t bytes);
void give_back_memory(void* data);
// Hands what is kept back to the system; returns how many bytes it was.
int64_t release_memory();

// An uninitialised row-major tensor of another's dtype on the CPU, in such memory where it is large.
Tensor allocate_tensor(const Tensor& like, const int64_t* sizes, int64_t dims);

// One block for as long as it lives.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : data_(static_cast<char*>(take_memory(bytes))) {}
  ~Scratch() { give_back_memory(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  char* data() const { return data_; }

 private:
  char* data_;
};

}  // namespace mamrl
