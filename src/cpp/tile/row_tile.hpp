// What kernel_matmul and the gradient ops share: evaluation points as the lanes of one task, centres
// streamed past them in blocks, a block's tile of K or omega kept in cache for the sums that use it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../common/buffer.hpp"
#include "panels.hpp"

namespace fastrfm {

// Centres a block: 240 x 32 float32 weights are 30 KiB, inside L1 beside the operand that streams
// past them; a multiple of every level's tile rows (12, 6, 4).
inline constexpr std::int64_t kCentreBlock = 240;

// How many lane panels a task takes: more reuse of each centre block, but enough tasks for the
// threads of a large machine, and accumulators (`words_per_lane` each) that stay in a core's cache.
// `wanted`: at least so many, up to the most, where a task has work that does not grow with them.
template <class T>
std::int64_t panels_per_task(std::int64_t points, std::int64_t words_per_lane,
                             std::int64_t wanted = 1) {
  constexpr std::int64_t most = 4;
  constexpr std::int64_t tasks_wanted = 64;
  constexpr std::int64_t cache_bytes = 2 << 20;
  const std::int64_t lanes = level<T>().lanes;
  const std::int64_t by_tasks = points / (lanes * tasks_wanted);
  const std::int64_t by_cache =
      cache_bytes / (lanes * words_per_lane * static_cast<std::int64_t>(sizeof(T)));
  return std::clamp<std::int64_t>(std::max(std::min(by_tasks, by_cache), wanted), 1, most);
}

// The evaluation points of one task.
template <class T>
struct LaneTile {
  std::int64_t first = 0;
  std::int64_t count = 0;   // points
  std::int64_t panels = 0;  // lane panels in use
  Buffer<T> points;         // [panel][coordinate][lane]
  Buffer<T> sizes;
  std::vector<T> largest;  // size in each lane panel
  Buffer<T> rest;          // as points; empty without rests
  Buffer<double> work;

  LaneTile(std::int64_t panel_count, const Transform<T>& transform)
      : points(panel_count * level<T>().lanes * transform.depth()),
        sizes(panel_count * level<T>().lanes),
        largest(static_cast<std::size_t>(panel_count)),
        rest(transform.has_rest() ? points.size() : 0),
        work(transform.work_size()) {}

  void pack(const Source& source, const Law<T>& law, const Transform<T>& transform,
            std::int64_t begin, std::int64_t end) {
    const std::int64_t lanes = level<T>().lanes;
    first = begin;
    count = end - begin;
    panels = ceil_div(count, lanes);
    for (std::int64_t p = 0; p < panels; ++p) {
      T* panel = points.data() + p * lanes * transform.depth();
      T* panel_rest = transform.has_rest() ? rest.data() + p * lanes * transform.depth() : nullptr;
      transform.lane_panel(source, begin + p * lanes, work.data(), panel, panel_rest);
      const std::int64_t valid = std::min(lanes, count - p * lanes);
      T* panel_size = sizes.data() + p * lanes;
      panel_sizes(law, transform, panel, valid, panel_size);
      largest[static_cast<std::size_t>(p)] = *std::max_element(panel_size, panel_size + valid);
    }
  }
};

}  // namespace fastrfm
