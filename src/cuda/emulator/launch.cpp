#include "launch.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

namespace emulator {
namespace {

// Stacks with their guard pages take 2,048 of the 65,530 mappings that Linux grants a process.
constexpr unsigned kMostThreads = 16;

// A grid on its way, from which threads take blocks until there are none left.
class Grid {
 public:
  Grid(const cudaLaunchConfig_t& config, const Body& body)
      : config_(config),
        body_(body),
        total_(std::uint64_t{config.gridDim.x} * config.gridDim.y * config.gridDim.z) {}

  std::uint64_t blocks() const { return total_; }

  void work() {
    gridDim = config_.gridDim;
    blockDim = config_.blockDim;
    for (std::uint64_t b; (b = next_.fetch_add(1, std::memory_order_relaxed)) < total_;) {
      blockIdx.x = static_cast<unsigned>(b % gridDim.x);
      blockIdx.y = static_cast<unsigned>(b / gridDim.x % gridDim.y);
      blockIdx.z = static_cast<unsigned>(b / gridDim.x / gridDim.y);
      run_block(body_, config_.dynamicSmemBytes);
    }
  }

 private:
  const cudaLaunchConfig_t& config_;
  const Body& body_;
  std::uint64_t total_;
  std::atomic<std::uint64_t> next_{0};
};

// Threads that wait for grids to help with. Kept between launches: a new thread would have to make
// its stacks anew, and a copy of all static shared memory of all kernels.
class Helpers {
 public:
  explicit Helpers(unsigned count) : owner_(getpid()) {
    for (unsigned i = 0; i < count; ++i) std::thread([this] { serve(); }).detach();
  }

  bool alive() const { return owner_ == getpid(); }  // fork() keeps only the calling thread

  // False if another launch has them.
  bool run(Grid& grid) {
    const std::unique_lock<std::mutex> in_use(launch_, std::try_to_lock);
    if (!in_use.owns_lock()) return false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      grid_ = &grid;
      ++number_;
    }
    wake_.notify_all();
    grid.work();
    std::unique_lock<std::mutex> lock(mutex_);
    grid_ = nullptr;  // one that wakes only now is too late
    idle_.wait(lock, [this] { return busy_ == 0; });
    return true;
  }

 private:
  void serve() {
    std::uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return grid_ != nullptr && number_ != seen; });
      seen = number_;
      Grid& grid = *grid_;
      ++busy_;
      lock.unlock();
      grid.work();
      lock.lock();
      if (--busy_ == 0) idle_.notify_one();
    }
  }

  const pid_t owner_;
  std::mutex launch_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  Grid* grid_ = nullptr;
  std::uint64_t number_ = 0;
  int busy_ = 0;
};

// Null on a machine with one processor. Never destroyed: its threads wait on it until the process
// ends.
Helpers* helpers() {
  static std::mutex mutex;
  static Helpers* instance = nullptr;
  const unsigned count = std::min(std::thread::hardware_concurrency(), kMostThreads);
  if (count < 2) return nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (instance == nullptr || !instance->alive()) instance = new Helpers(count - 1);
  return instance;
}

bool is_allowed(const void* kernel, const cudaLaunchConfig_t& config) {
  const dim3& grid = config.gridDim;
  const dim3& block = config.blockDim;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0)
    return false;
  constexpr unsigned most_y_z = 65535;
  constexpr unsigned most_x = 2147483647;
  if (grid.x > most_x || grid.y > most_y_z || grid.z > most_y_z) return false;
  if (block.x > 1024 || block.y > 1024 || block.z > 64) return false;
  if (std::uint64_t{block.x} * block.y * block.z > kMaxThreads) return false;
  // Static shared memory counts too on a GPU, but no C++ compiler says how much of it there is; nvcc
  // refuses kernels with more than all of this.
  return config.dynamicSmemBytes <= allowed_shared_bytes(kernel);
}

}  // namespace

unsigned thread_order() {
  static const unsigned order = [] {
    const char* text = std::getenv("FASTRFM_EMULATOR_ORDER");
    if (text == nullptr || *text == '\0') return 0U;
    char* end = nullptr;
    const unsigned long value = std::strtoul(text, &end, 10);
    if (*end != '\0' || value > 0xffffffffUL) {
      std::fprintf(stderr, "emulator: FASTRFM_EMULATOR_ORDER must be a number, got \"%s\"\n", text);
      std::abort();
    }
    return static_cast<unsigned>(value);
  }();
  return order;
}

bool copies_are_early() {
  static const bool early = [] {
    const char* text = std::getenv("FASTRFM_EMULATOR_COPIES");
    if (text == nullptr || *text == '\0' || std::strcmp(text, "late") == 0) return false;
    if (std::strcmp(text, "early") == 0) return true;
    std::fprintf(stderr, "emulator: FASTRFM_EMULATOR_COPIES must be early or late, got \"%s\"\n",
                 text);
    std::abort();
  }();
  return early;
}

cudaError_t launch(const void* kernel, const cudaLaunchConfig_t& config, const Body& body) {
  if (!is_allowed(kernel, config)) return record(cudaErrorInvalidConfiguration);
  Grid grid(config, body);
  Helpers* const others = grid.blocks() > 1 ? helpers() : nullptr;
  if (others == nullptr || !others->run(grid)) grid.work();
  return cudaSuccess;
}

}  // namespace emulator
