// Runs grids of CUDA threads on the CPU, for the tests of the .cu files.
#include <torch/csrc/stable/library.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/emulated/device.h"

thread_local EmulatedDim threadIdx, blockIdx, blockDim, gridDim;

namespace mamrl::emulated {
namespace {

constexpr int kMostThreads = 1024;
constexpr size_t kStackBytes = 64 << 10;
constexpr int64_t kWatchedBytes = 4096;
// as float and as double a NaN: what is read before it was written shows in the results
constexpr char kPoison = char(0xFF);

// which thread of a block goes first between two barriers; what depends on it is a race
bool last_thread_first = false;

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  int waits_at = 0;  // the line of its barrier
  bool done = false;
};

class Emulator {
 public:
  void run(int64_t blocks, int threads, int64_t shared_bytes, const std::function<void()>& kernel) {
    if (blocks < 1 || threads < 1 || threads > kMostThreads || shared_bytes < 0 || shared_bytes > kMostShared)
      throw std::runtime_error("invalid launch configuration: " + std::to_string(blocks) + " blocks of " +
                               std::to_string(threads) + " threads with " + std::to_string(shared_bytes) +
                               " bytes of shared memory");
    if (static_cast<int>(threads_.size()) < threads) threads_.resize(threads);
    kernel_ = &kernel;
    gridDim.x = static_cast<unsigned>(blocks);
    blockDim.x = static_cast<unsigned>(threads);
    memory_.resize(kMostShared + kWatchedBytes + 64);
    shared_ = memory_.data() + (64 - reinterpret_cast<uintptr_t>(memory_.data()) % 64) % 64;
    for (int64_t block = 0; block < blocks; ++block) {
      blockIdx.x = static_cast<unsigned>(block);
      std::fill(shared_, shared_ + shared_bytes + kWatchedBytes, kPoison);
      run_block(threads);
      if (std::any_of(shared_ + shared_bytes, shared_ + shared_bytes + kWatchedBytes,
                      [](char c) { return c != kPoison; }))
        throw std::runtime_error("a block wrote behind its " + std::to_string(shared_bytes) +
                                 " bytes of shared memory");
    }
  }

  void wait(int line) {
    threads_[current_].waits_at = line;
    swapcontext(&threads_[current_].context, &scheduler_);
  }

  char* shared() const { return shared_; }

 private:
  void run_block(int threads) {
    for (int i = 0; i < threads; ++i) start(threads_[i]);
    for (bool running = true; running;) {
      for (int turn = 0; turn < threads; ++turn) {
        current_ = last_thread_first ? threads - 1 - turn : turn;
        Thread& thread = threads_[current_];
        if (thread.done) continue;
        threadIdx.x = static_cast<unsigned>(current_);
        swapcontext(&scheduler_, &thread.context);
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      }
      const Thread& first = threads_[0];
      for (int i = 1; i < threads; ++i) {
        if (threads_[i].done != first.done || (!first.done && threads_[i].waits_at != first.waits_at))
          throw std::runtime_error("threads of a block do not meet at the same barrier: lines " +
                                   std::to_string(first.waits_at) + " and " + std::to_string(threads_[i].waits_at));
      }
      running = !first.done;
    }
  }

  void start(Thread& thread) {
    if (!thread.stack) thread.stack = std::make_unique<char[]>(kStackBytes);
    thread.done = false;
    thread.waits_at = 0;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = kStackBytes;
    thread.context.uc_link = &scheduler_;
    makecontext(&thread.context, &Emulator::enter, 0);
  }

  static void enter();

  std::vector<Thread> threads_;
  std::vector<char> memory_;
  char* shared_ = nullptr;
  const std::function<void()>* kernel_ = nullptr;
  ucontext_t scheduler_;
  int current_ = 0;
  std::exception_ptr error_;
};

thread_local Emulator emulator;

void Emulator::enter() {
  try {
    (*emulator.kernel_)();
  } catch (...) {
    emulator.error_ = std::current_exception();
  }
  emulator.threads_[emulator.current_].done = true;
}

void set_thread_order(std::string order) {
  MAMRL_CHECK(order == "first" || order == "last", "order is '", order, "', expected 'first' or 'last'");
  last_thread_first = order == "last";
}

}  // namespace

void run_grid(int64_t blocks, int threads, int64_t shared_bytes, const std::function<void()>& kernel) {
  emulator.run(blocks, threads, shared_bytes, kernel);
}

void wait_for_block(int line) { emulator.wait(line); }

char* block_memory() { return emulator.shared(); }

void stop_device(const char* format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  throw std::runtime_error(text);
}

}  // namespace mamrl::emulated

STABLE_TORCH_LIBRARY(mamrl_emulated, m) { m.def("set_thread_order(str order) -> ()"); }

STABLE_TORCH_LIBRARY_IMPL(mamrl_emulated, CompositeExplicitAutograd, m) {
  m.impl("set_thread_order", TORCH_BOX(&mamrl::emulated::set_thread_order));
}
