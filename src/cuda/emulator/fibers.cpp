#include "fibers.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN 1
#endif
#endif
#if defined(EMULATOR_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__)
// Saves the registers that a called function must preserve and the place to return to on the stack
// that is left, and takes them from the other. swapcontext() would do it in two system calls more.
asm(R"(
.text
.hidden fastrfm_emulator_switch
.globl fastrfm_emulator_switch
.type fastrfm_emulator_switch, @function
fastrfm_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size fastrfm_emulator_switch, .-fastrfm_emulator_switch
)");
extern "C" void fastrfm_emulator_switch(void** save, void* load);
#endif

namespace emulator {
namespace {

// Enough for any kernel; AddressSanitizer puts red zones around every local array.
#if defined(EMULATOR_ASAN)
constexpr std::size_t kStackBytes = std::size_t{256} << 10;
#else
constexpr std::size_t kStackBytes = std::size_t{64} << 10;
#endif
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kSets = 64;  // of the first-level cache, addressed within a page

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

thread_local Context* leaving = nullptr;

void before_switch([[maybe_unused]] Context& from, [[maybe_unused]] const Context& to) {
  leaving = &from;
#if defined(EMULATOR_ASAN)
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.stack_bytes);
#endif
}

// Also learns the bounds of the stack just left, which is how those of the thread itself get known.
void after_switch([[maybe_unused]] void* fake_stack) {
#if defined(EMULATOR_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, &leaving->stack, &leaving->stack_bytes);
#endif
}

}  // namespace

void fiber_started() { after_switch(nullptr); }

void prepare_fiber(Context& fiber, void* stack, std::size_t bytes, void (*entry)()) {
  fiber.stack = stack;
  fiber.stack_bytes = bytes;
#if defined(__x86_64__)
  const auto end = (reinterpret_cast<std::uintptr_t>(stack) + bytes) & ~std::uintptr_t{15};
  auto* top = reinterpret_cast<void**>(end);
  *--top = nullptr;                         // ends a debugger's walk up the stack
  *--top = reinterpret_cast<void*>(entry);  // a function starts with rsp 8 off a multiple of 16
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  fiber.stack_pointer = top;
#else
  getcontext(&fiber.registers);
  fiber.registers.uc_stack.ss_sp = stack;
  fiber.registers.uc_stack.ss_size = bytes;
  fiber.registers.uc_link = nullptr;
  makecontext(&fiber.registers, entry, 0);
#endif
}

void switch_fiber(Context& from, Context& to) {
  before_switch(from, to);
#if defined(__x86_64__)
  fastrfm_emulator_switch(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.registers, &to.registers);
#endif
  after_switch(from.fake_stack);
}

Stacks::~Stacks() {
  if (memory_ != nullptr) munmap(memory_, mapped_);
}

void Stacks::allocate(int count) {
  const std::size_t page = page_bytes();
  const std::size_t pitch = kStackBytes + page;
  mapped_ = static_cast<std::size_t>(count) * pitch + page;
  void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::fprintf(stderr, "emulator: no memory for %d stacks\n", count);
    std::abort();
  }
  memory_ = static_cast<char*>(memory);
  for (std::size_t at = 0; at < mapped_; at += pitch) mprotect(memory_ + at, page, PROT_NONE);
}

void* Stacks::bottom(int index) const {
  const std::size_t page = page_bytes();
  return memory_ + page + static_cast<std::size_t>(index) * (kStackBytes + page);
}

std::size_t Stacks::bytes(int index) {
  return kStackBytes - static_cast<std::size_t>(index) * 5 % kSets * kCacheLine;
}

}  // namespace emulator
