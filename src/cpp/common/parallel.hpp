// Tasks over OpenMP threads. A task's result may depend on its index, never on its thread: that,
// and reductions in a fixed order, make every op bitwise the same for every number of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "fork.hpp"
#include "interrupt.hpp"

namespace fastrfm {

inline int max_threads() {
#ifdef _OPENMP
  return must_run_alone() ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

// Arithmetic operations that are worth a thread: some 0.1 ms. Less is done sooner than another thread
// wakes up, and on a busy machine much sooner.
inline constexpr double kOperationsPerThread = 4e6;

// Calls body(task, scratch, calling_thread) for task = 0 .. tasks-1; `make_scratch()` is called
// once a thread. `operations`: a rough count for all tasks together. Throws Interrupted if
// `interrupt` stopped it, or what a body threw.
template <class MakeScratch, class Body>
void parallel_tasks(std::int64_t tasks, double operations, Interrupt& interrupt,
                    MakeScratch make_scratch, Body body) {
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::atomic<bool> failed{false};
  const auto work = [&](bool calling_thread) {
    // An exception must not leave an OpenMP region, so it is carried over its end.
    try {
      auto scratch = make_scratch();
      while (!interrupt.poll(calling_thread)) {
        const std::int64_t task = next.fetch_add(1, std::memory_order_relaxed);
        if (task >= tasks) break;
        body(task, scratch, calling_thread);
      }
    } catch (...) {
      if (!failed.exchange(true)) failure = std::current_exception();
      next.store(tasks, std::memory_order_relaxed);
      interrupt.stop();  // a task may be waiting for this one
    }
  };
  const double worth = std::min(static_cast<double>(tasks), operations / kOperationsPerThread);
  const int threads = static_cast<int>(std::min(worth, static_cast<double>(max_threads())));
  if (threads <= 1) {
    work(true);
  } else {
#ifdef _OPENMP
#pragma omp parallel num_threads(threads)
    work(omp_get_thread_num() == 0);
#endif
  }
  if (failed.load()) std::rethrow_exception(failure);
  if (interrupt.stopped()) throw Interrupted{};
}

struct NoScratch {};

template <class Body>
void parallel_tasks(std::int64_t tasks, double operations, Interrupt& interrupt, Body body) {
  parallel_tasks(
      tasks, operations, interrupt, [] { return NoScratch{}; },
      [&](std::int64_t task, NoScratch&, bool) { body(task); });
}

}  // namespace fastrfm
