#include "copies.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "block.hpp"
#include "launch.hpp"

namespace emulator {
namespace {

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
  int group;
};

struct ThreadCopies {
  std::vector<Copy> pending;  // oldest first
  int group = 0;              // the one that is open
};

thread_local std::vector<ThreadCopies> copies(kMaxThreads);

ThreadCopies& mine() { return copies[static_cast<std::size_t>(thread_in_block())]; }

}  // namespace

void copy_async(void* shared, const void* global, std::size_t bytes) {
  if (bytes != 4 && bytes != 8 && bytes != 16)
    fail("an asynchronous copy must be of 4, 8 or 16 bytes");
  const auto addresses =
      reinterpret_cast<std::uintptr_t>(shared) | reinterpret_cast<std::uintptr_t>(global);
  if (addresses % bytes != 0) fail("an asynchronous copy is not aligned to its size");
  if (copies_are_early())
    std::memcpy(shared, global, bytes);
  else
    mine().pending.push_back({shared, global, bytes, mine().group});
}

void commit_copies() { ++mine().group; }

void wait_copies(int newest_left) {
  ThreadCopies& own = mine();
  const int finished = own.group - newest_left;  // groups below this number
  std::size_t done = 0;
  for (; done < own.pending.size() && own.pending[done].group < finished; ++done)
    std::memcpy(own.pending[done].to, own.pending[done].from, own.pending[done].bytes);
  own.pending.erase(own.pending.begin(), own.pending.begin() + static_cast<std::ptrdiff_t>(done));
}

void forget_copies(int threads) {
  for (int i = 0; i < threads; ++i) {
    copies[static_cast<std::size_t>(i)].pending.clear();
    copies[static_cast<std::size_t>(i)].group = 0;
  }
}

}  // namespace emulator
