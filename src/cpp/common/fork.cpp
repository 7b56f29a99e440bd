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

// omp_pause_resource of the runtime that runs our regions; part of OpenMP 5.0.
using PauseResource = int (*)(int kind, int device);
constexpr int pause_soft = 1;  // omp_pause_soft
PauseResource pause_resource = nullptr;

// Null: of GCC 8 and older, or not libgomp. Asked for when the module is loaded, not when it is
// linked, and of that runtime alone: the one that was linked may not be the one that runs. PyTorch
// puts the libgomp of its wheel before all others, and where that is GCC 8's, as in 2.4, the regions
// are its and a pause would be another libgomp's, which ends nothing.
PauseResource find_pause_resource() {
  // Not LLVM's or Intel's runtime, this module's own or in libgomp's place (conda, LD_PRELOAD):
  // Intel's, of 2026, waits in the child for its threads although they were paused.
  if (dlsym(RTLD_DEFAULT, "__kmpc_fork_call") != nullptr) return nullptr;
  Dl_info runtime;
  if (dladdr(reinterpret_cast<void*>(&omp_get_max_threads), &runtime) == 0) return nullptr;
  // Never closed: that runtime's threads are ours.
  void* library = dlopen(runtime.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return nullptr;
  return reinterpret_cast<PauseResource>(dlsym(library, "omp_pause_resource"));
}

// Ends the idle threads that wait for the calling thread's next region; parent and child each make
// new ones when they need them. libgomp keeps such threads for every thread that has entered a
// region, and only those of the caller of fork() matter: no other thread lives on in the child. It
// refuses inside a region, which the child could not leave anyway, so a failure asks for nothing.
void end_idle_threads() { static_cast<void>(pause_resource(pause_soft, omp_get_initial_device())); }

int register_handlers() {
  pause_resource = find_pause_resource();
  return pause_resource != nullptr ? pthread_atfork(end_idle_threads, nullptr, nullptr)
                                   : pthread_atfork(nullptr, nullptr, run_alone_in_child);
}

}  // namespace

void register_fork_handlers() {
  static const int error = register_handlers();
  if (error != 0) throw std::bad_alloc();
}

#else

void register_fork_handlers() {}

#endif

}  // namespace fastrfm
