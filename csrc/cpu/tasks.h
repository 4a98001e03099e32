// Runs the tasks of a SIMD kernel over torch's threads, each thread with memory of its own.
#pragma once

#include <cstdint>

#include "cpu/memory.h"
#include "cpu/parallel.h"

namespace mamrl {

// run(first, last, memory) over [0, tasks)
template <class F>
void run_tasks(int64_t tasks, int64_t scratch_bytes, const F& run) {
  parallel_for(0, tasks, 1, [&](int64_t first, int64_t last) {
    const Scratch memory(scratch_bytes);
    run(first, last, memory.data());
  });
}

}  // namespace mamrl
