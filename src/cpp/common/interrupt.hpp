// Ctrl-C in the middle of a long pass: the calling thread asks its owner now and then, the other
// threads watch a flag.
#pragma once

#include <atomic>
#include <chrono>

namespace fastrfm {

// Thrown out of an op after an interrupt; the binding layer turns it into the pending exception.
struct Interrupted {};

class Interrupt {
 public:
  // `check` returns true when the pass should stop. Called from the calling thread only.
  using Check = bool (*)();

  explicit Interrupt(Check check) : check_(check), last_(Clock::now()) {}

  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  void stop() { stopped_.store(true, std::memory_order_relaxed); }

  // True if the pass should stop. `calling_thread`: whether this is the thread that entered the op.
  bool poll(bool calling_thread) {
    if (calling_thread && check_ != nullptr) {
      const auto now = Clock::now();
      // Python's lock has to be taken for the check, so not more often than this.
      if (now - last_ > std::chrono::milliseconds(30)) {
        last_ = now;
        if (check_()) stop();
      }
    }
    return stopped();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Check check_;
  Clock::time_point last_;  // touched by the calling thread only
  std::atomic<bool> stopped_{false};
};

}  // namespace fastrfm
