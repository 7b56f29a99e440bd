// fork() after an op has used threads. The child has one thread, the one that called fork(), but
// also libgomp's record of the others: its next parallel region would wait for them for ever.
#pragma once

#include <atomic>

namespace fastrfm {

// Registers the handlers that prevent this; once a process, however often it is called. Throws
// std::bad_alloc if the system has no memory for them.
void register_fork_handlers();

// Set in a forked child whose OpenMP runtime cannot be made to forget its threads.
extern std::atomic<bool> threads_lost_in_fork;

inline bool must_run_alone() { return threads_lost_in_fork.load(std::memory_order_relaxed); }

}  // namespace fastrfm
