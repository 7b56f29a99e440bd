// Asynchronous copies from global to shared memory, as PTX has them: cp.async, cp.async.commit_group
// and cp.async.wait_group. Each thread waits for its own; what others copied needs a barrier too.
//
// The hardware may copy at any time between the call and the wait. Here a copy is made as late as it
// may be, in wait_copies(), so that reading before the wait gives wrong results; or, with
// FASTRFM_EMULATOR_COPIES=early, at once, so that overwriting what others still read does.
#pragma once

#include <cstddef>

namespace emulator {

// bytes: 4, 8 or 16, to which both addresses must be aligned.
void copy_async(void* shared, const void* global, std::size_t bytes);
// Closes a group of this thread's copies.
void commit_copies();
// Waits until no more than the newest `newest_left` groups are open.
void wait_copies(int newest_left);

// A new block of so many threads: nothing is left to copy.
void forget_copies(int threads);

}  // namespace emulator
