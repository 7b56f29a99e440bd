#include "fork.hpp"

#include <new>

#ifdef _OPENMP
#include <dlfcn.h>
#include <omp.h>
#include <pthread.h>
#endif

namespace fastrfm {

std::atomic<bool> threads_lost_in_fork{false};

#ifdef _OPENMP

namespace {

void run_alone_in_child() { threads_lost_in_fork.store(true, std::memory_order_relaxed); }

#ifdef FASTRFM_OMP_PAUSE

// Ends the idle threads that wait for the calling thread's next region; parent and child each make
// new ones when they need them. libgomp keeps such threads for every thread that has entered a
// region, and only those of the caller of fork() matter: no other thread lives on in the child. It
// refuses inside a region, which the child could not leave anyway, so a failure asks for nothing.
void end_idle_threads() {
  static_cast<void>(omp_pause_resource(omp_pause_soft, omp_get_initial_device()));
}

// Not LLVM's or Intel's runtime, this module's own or in libgomp's place (conda, LD_PRELOAD):
// Intel's, of 2026, waits in the child for its threads although they were paused.
bool is_libgomp() { return dlsym(RTLD_DEFAULT, "__kmpc_fork_call") == nullptr; }

int register_handlers() {
  return is_libgomp() ? pthread_atfork(end_idle_threads, nullptr, nullptr)
                      : pthread_atfork(nullptr, nullptr, run_alone_in_child);
}

#else  // GCC 8 and older

int register_handlers() { return pthread_atfork(nullptr, nullptr, run_alone_in_child); }

#endif

}  // namespace

void register_fork_handlers() {
  static const int error = register_handlers();
  if (error != 0) throw std::bad_alloc();
}

#else

void register_fork_handlers() {}

#endif

}  // namespace fastrfm
