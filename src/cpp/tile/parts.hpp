// Points in parts whose packed forms have a bounded size, however many points there are: a table that
// lies on the disk, or is int8, is never in memory as a whole in working precision.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../common/source.hpp"
#include "transform.hpp"
#include "value_block.hpp"

namespace fastrfm {

// Bytes of the packed forms of the points of one part, each. Packing a part again for each part it
// meets costs its points x features, meeting it costs its points squared x features.
inline constexpr std::int64_t kPartBytes = 64 << 20;
// But no fewer points: a pass over a part has to be worth more than packing it. A full root makes
// packing a product of its own, of points x features x rank, in double.
inline constexpr std::int64_t kFewestPartPoints = 6'912;
inline constexpr std::int64_t kPointsAFeature = 4;

struct Parts {
  std::int64_t points;  // all of them
  std::int64_t each;    // a multiple of a block's side

  std::int64_t count() const { return std::max<std::int64_t>(1, ceil_div(points, each)); }
  std::int64_t begin(std::int64_t part) const { return part * each; }
  std::int64_t end(std::int64_t part) const { return std::min(points, (part + 1) * each); }
};

// `wanted`: points a part; 0 leaves it to the sizes above.
template <class T>
Parts parts_of(std::int64_t points, const Transform<T>& transform, std::int64_t wanted) {
  std::int64_t each = wanted;
  if (each <= 0) {
    const std::int64_t bytes = transform.depth() * static_cast<std::int64_t>(sizeof(T));
    each = std::max(kFewestPartPoints, kPartBytes / bytes);
    if (transform.full()) each = std::max(each, kPointsAFeature * transform.features());
  }
  return {points, round_up(each, kBlock<T>)};
}

// Points [begin, end) of a source.
inline Source slice(const Source& points, std::int64_t begin, std::int64_t end) {
  Source some = points;
  some.data = static_cast<const char*>(points.data) + begin * points.row_stride;
  some.rows = end - begin;
  return some;
}

}  // namespace fastrfm
