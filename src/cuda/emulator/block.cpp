#include "block.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "copies.hpp"
#include "fibers.hpp"
#include "launch.hpp"

namespace emulator {
namespace {

constexpr std::align_val_t kSharedAlignment{128};

enum class State : std::uint8_t { ready, at_barrier, in_exchange, ended };

struct Warp {
  unsigned live = 0;     // lanes that have not ended
  unsigned waiting = 0;  // lanes in an exchange
  unsigned mask[kWarp] = {};
  unsigned present[kWarp] = {};
  // A lane may be at its next exchange before another has read the last one's values.
  unsigned char given[kWarp][kExchangeBytes];
  std::size_t given_bytes[kWarp] = {};
  unsigned char delivered[kWarp][kExchangeBytes];
};

struct DeleteShared {
  void operator()(void* memory) const { ::operator delete(memory, kSharedAlignment); }
};

// The state of the block that a thread of the system runs; kept, stacks and all, for the next one.
class Block {
 public:
  void run(const Body& body, std::size_t shared_bytes);
  int barrier(bool predicate);
  const unsigned char* exchange(unsigned mask, const void* value, std::size_t bytes,
                                unsigned& present);
  int current() const { return current_; }
  unsigned live_lanes() const { return warps_[current_ / kWarp].live; }
  void* shared() const { return shared_.get(); }

 private:
  static void fiber_entry();
  void start(const Body& body, std::size_t shared_bytes);
  void choose_order();
  void end_thread();
  void go_on();  // with the next thread that can
  bool open_barrier_if_all_wait();
  bool deliver_if_all_wait(int warp, unsigned mask);
  [[noreturn]] void deadlock() const;

  Body body_{};
  int threads_ = 0;
  int alive_ = 0;
  int current_ = 0;
  std::size_t position_ = 0;  // in order_
  std::vector<int> order_;

  int at_barrier_ = 0;
  int predicates_ = 0;  // true ones, of those that have arrived
  int counted_ = 0;     // what the last barrier to open returns

  Context thread_;  // of the system
  Stacks stacks_;
  std::vector<Context> fibers_;
  std::vector<State> states_;
  std::vector<uint3> indices_;
  std::vector<Warp> warps_;

  std::unique_ptr<void, DeleteShared> shared_;
  std::size_t shared_bytes_ = 0;
};

thread_local Block block;

void Block::choose_order() {
  order_.resize(static_cast<std::size_t>(threads_));
  for (int i = 0; i < threads_; ++i) order_[static_cast<std::size_t>(i)] = i;
  const unsigned order = thread_order();
  if (order == 1) std::reverse(order_.begin(), order_.end());
  if (order > 1) std::shuffle(order_.begin(), order_.end(), std::mt19937(order));
}

void Block::start(const Body& body, std::size_t shared_bytes) {
  body_ = body;
  const int threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  if (fibers_.empty()) {
    stacks_.allocate(kMaxThreads);
    fibers_.resize(kMaxThreads);
    states_.resize(kMaxThreads);
    indices_.resize(kMaxThreads);
    warps_.resize(kMaxThreads / kWarp);
    for (int i = 0; i < kMaxThreads; ++i)
      prepare_fiber(fibers_[static_cast<std::size_t>(i)], stacks_.bottom(i), Stacks::bytes(i),
                    fiber_entry);
  }
  if (threads != threads_) {
    threads_ = threads;
    choose_order();
  }
  const auto n = static_cast<unsigned>(threads);
  for (unsigned i = 0; i < n; ++i)
    indices_[i] = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
  std::fill_n(states_.begin(), n, State::ready);
  for (unsigned first = 0; first < n; first += kWarp) {
    Warp& warp = warps_[first / kWarp];
    warp.live = n - first >= kWarp ? ~0U : (1U << (n - first)) - 1U;
    warp.waiting = 0;
  }
  alive_ = threads;
  at_barrier_ = predicates_ = 0;
  // Of exactly this size, so that AddressSanitizer sees its end.
  if (shared_bytes != shared_bytes_) {
    shared_.reset(shared_bytes == 0 ? nullptr : ::operator new(shared_bytes, kSharedAlignment));
    shared_bytes_ = shared_bytes;
  }
  if (shared_bytes > 0) std::memset(shared_.get(), 0xff, shared_bytes);
  forget_copies(threads);
}

void Block::run(const Body& body, std::size_t shared_bytes) {
  start(body, shared_bytes);
  position_ = 0;
  current_ = order_[0];
  threadIdx = indices_[static_cast<std::size_t>(current_)];
  switch_fiber(thread_, fibers_[static_cast<std::size_t>(current_)]);
}

// A fiber outlives its block: it then waits here to be a thread of the next one.
void Block::fiber_entry() {
  fiber_started();
  for (;;) {
    block.body_.function(block.body_.arguments);
    block.end_thread();
  }
}

void Block::end_thread() {
  const int warp = current_ / kWarp;
  states_[static_cast<std::size_t>(current_)] = State::ended;
  --alive_;
  Warp& lanes = warps_[static_cast<std::size_t>(warp)];
  lanes.live &= ~(1U << current_ % kWarp);
  if (alive_ == 0) {
    switch_fiber(fibers_[static_cast<std::size_t>(current_)], thread_);
    return;
  }
  // Others may have waited for this thread alone.
  open_barrier_if_all_wait();
  for (unsigned left = lanes.waiting; left != 0; left &= left - 1)
    deliver_if_all_wait(warp, lanes.mask[__builtin_ctz(left)]);
  go_on();
}

void Block::go_on() {
  const auto n = static_cast<std::size_t>(threads_);
  for (std::size_t step = 0; step < n; ++step) {
    position_ = position_ + 1 == n ? 0 : position_ + 1;
    const auto next = static_cast<std::size_t>(order_[position_]);
    if (states_[next] != State::ready) continue;
    Context& left = fibers_[static_cast<std::size_t>(current_)];
    current_ = static_cast<int>(next);
    threadIdx = indices_[next];
    switch_fiber(left, fibers_[next]);
    return;
  }
  deadlock();
}

int Block::barrier(bool predicate) {
  ++at_barrier_;
  predicates_ += predicate ? 1 : 0;
  states_[static_cast<std::size_t>(current_)] = State::at_barrier;
  if (!open_barrier_if_all_wait()) go_on();
  return counted_;
}

bool Block::open_barrier_if_all_wait() {
  if (at_barrier_ == 0 || at_barrier_ != alive_) return false;
  for (int i = 0; i < threads_; ++i) {
    State& state = states_[static_cast<std::size_t>(i)];
    if (state == State::at_barrier) state = State::ready;
  }
  counted_ = predicates_;
  at_barrier_ = predicates_ = 0;
  return true;
}

const unsigned char* Block::exchange(unsigned mask, const void* value, std::size_t bytes,
                                     unsigned& present) {
  const int index = current_ / kWarp;
  const int me = current_ % kWarp;
  Warp& warp = warps_[static_cast<std::size_t>(index)];
  if ((mask >> me & 1U) == 0) fail("a lane is not in the mask of its own warp operation");
  std::memcpy(warp.given[me], value, bytes);
  warp.given_bytes[me] = bytes;
  warp.mask[me] = mask;
  warp.waiting |= 1U << me;
  states_[static_cast<std::size_t>(current_)] = State::in_exchange;
  if (!deliver_if_all_wait(index, mask)) go_on();
  present = warp.present[me];
  return &warp.delivered[0][0];
}

bool Block::deliver_if_all_wait(int index, unsigned mask) {
  Warp& warp = warps_[static_cast<std::size_t>(index)];
  const unsigned present = mask & warp.live;
  if (present == 0 || (warp.waiting & present) != present) return false;
  for (unsigned left = present; left != 0; left &= left - 1) {
    const int from = __builtin_ctz(left);
    if (warp.mask[from] != mask) fail("lanes of one warp operation name different masks");
    std::memcpy(warp.delivered[from], warp.given[from], warp.given_bytes[from]);
    warp.present[from] = present;
    states_[static_cast<std::size_t>(index * kWarp + from)] = State::ready;
  }
  warp.waiting &= ~present;
  return true;
}

void Block::deadlock() const {
  int exchanging = 0;
  for (int i = 0; i < threads_; ++i)
    exchanging += states_[static_cast<std::size_t>(i)] == State::in_exchange ? 1 : 0;
  std::fprintf(
      stderr,
      "emulator: deadlock in block (%u, %u, %u): of %d threads, %d wait at a barrier of the "
      "block, %d in a warp operation, and %d have ended\n",
      blockIdx.x, blockIdx.y, blockIdx.z, threads_, at_barrier_, exchanging, threads_ - alive_);
  std::abort();
}

}  // namespace

void run_block(const Body& body, std::size_t shared_bytes) { block.run(body, shared_bytes); }

void fail(const char* message) {
  std::fprintf(stderr, "emulator: block (%u, %u, %u), thread (%u, %u, %u): %s\n", blockIdx.x,
               blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, message);
  std::abort();
}

int thread_in_block() { return block.current(); }
void* dynamic_shared() { return block.shared(); }
int block_barrier(bool predicate) { return block.barrier(predicate); }
unsigned live_lanes() { return block.live_lanes(); }

const unsigned char* warp_exchange(unsigned mask, const void* value, std::size_t bytes,
                                   unsigned& present) {
  return block.exchange(mask, value, bytes, present);
}

}  // namespace emulator
