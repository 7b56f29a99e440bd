// One block: its threads, each a fiber, and the places where they wait for one another.
//
// A thread runs until it waits or ends; then the next that can go on does, in an order that
// FASTRFM_EMULATOR_ORDER chooses. Where none can, threads wait for what will not come, and the process
// ends with a message: a barrier or a shuffle that only some of the threads reach.
#pragma once

#include <cstddef>
#include <cstring>

#include "vector_types.hpp"

inline thread_local uint3 threadIdx{};
inline thread_local uint3 blockIdx{};
inline thread_local dim3 blockDim{};
inline thread_local dim3 gridDim{};
inline constexpr int warpSize = 32;

namespace emulator {

inline constexpr int kMaxThreads = 1024;  // of a block
inline constexpr int kWarp = 32;
inline constexpr std::size_t kExchangeBytes = 32;  // the most that a lane can give in one exchange

// What a block runs: every thread calls function(arguments).
struct Body {
  void (*function)(const void* arguments);
  const void* arguments;
};

// Runs the block that blockIdx, blockDim and gridDim name on the calling thread of the system.
void run_block(const Body& body, std::size_t shared_bytes);

// Ends the process with a message that names the block and the thread.
[[noreturn]] void fail(const char* message);

// The rest is called by running threads.

int thread_in_block();
inline int lane() { return thread_in_block() % kWarp; }

// The block's dynamic shared memory: aligned to 128 bytes, and NaN until it is written to.
void* dynamic_shared();

// Waits for all threads of the block that have not ended; returns for how many `predicate` was true.
int block_barrier(bool predicate);

// Waits for all lanes of `mask` that have not ended; each gives `bytes` bytes. `present` is set to
// those lanes. The returned array, kExchangeBytes a lane, is valid until the next exchange.
const unsigned char* warp_exchange(unsigned mask, const void* value, std::size_t bytes,
                                   unsigned& present);

// Lanes of this warp that have not ended. On a GPU, where lanes diverge, it can be fewer.
unsigned live_lanes();

// What every lane of a warp gave.
template <class T>
class Exchanged {
 public:
  static_assert(sizeof(T) <= kExchangeBytes, "raise kExchangeBytes");

  Exchanged(unsigned mask, const T& value)
      : values_(warp_exchange(mask, &value, sizeof(T), present_)) {}

  bool present(int from) const { return (present_ >> from & 1U) != 0; }

  // CUDA leaves open what a lane that took no part gives; here it is all ones, NaN for floats.
  T operator[](int from) const {
    T value;
    if (present(from))
      std::memcpy(&value, values_ + static_cast<std::size_t>(from) * kExchangeBytes, sizeof(T));
    else
      std::memset(static_cast<void*>(&value), 0xff, sizeof(T));
    return value;
  }

 private:
  unsigned present_ = 0;
  const unsigned char* values_;
};

}  // namespace emulator
