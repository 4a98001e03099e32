// Looks at every index before a kernel reads with it.
#include "common/table.h"
#include "cuda/launch.h"

namespace mamrl {
namespace {

__global__ void check_indices_kernel(Name name, const int64_t* index, int64_t count, int64_t size) {
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    if (outside(index[i], size) < 0) {
      MAMRL_STOP_DEVICE("mamrl: %s holds %lld, expected at least 0 and below %lld", name.text,
                        static_cast<long long>(index[i]), static_cast<long long>(size));
    }
  }
}

}  // namespace

void launch_index_check(const LaunchStream& stream, const Name& name, const int64_t* index, int64_t count,
                        int64_t size) {
  const int64_t blocks = std::min((count + kThreads - 1) / kThreads, kMostBlocks);
  stream.launch(blocks, kThreads, 0, check_indices_kernel, name, index, count, size);
}

}  // namespace mamrl
