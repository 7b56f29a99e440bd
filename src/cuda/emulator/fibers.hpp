// Fibers: stacks between which one thread of the system switches by itself.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

// Where a fiber, or the thread that it runs on, stopped.
struct Context {
#if defined(__x86_64__)
  void* stack_pointer = nullptr;
#else
  ucontext_t registers;
#endif
  // For AddressSanitizer, which has to know whose stack is in use.
  const void* stack = nullptr;
  std::size_t stack_bytes = 0;
  void* fake_stack = nullptr;
};

// Makes `fiber` start in `entry`, which must call fiber_started() first and never return.
void prepare_fiber(Context& fiber, void* stack, std::size_t bytes, void (*entry)());
void fiber_started();

// Leaves `from`, which must be running, for `to`; returns when another switch names `from`.
void switch_fiber(Context& from, Context& to);

// Memory for stacks, each between two pages that nobody may touch: an overflow ends the process.
class Stacks {
 public:
  Stacks() = default;
  ~Stacks();
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  void allocate(int count);  // once
  void* bottom(int index) const;
  // Less for some than for others: the tops would otherwise all fall into one set of the cache.
  static std::size_t bytes(int index);

 private:
  char* memory_ = nullptr;
  std::size_t mapped_ = 0;
};

}  // namespace emulator
