// Packed points: all of them as row panels, or a few lane panels of one task.
#pragma once

#include <cstdint>
#include <vector>

#include "../common/buffer.hpp"
#include "../common/interrupt.hpp"
#include "transform.hpp"

namespace fastrfm {

// Sizes of a lane panel's points: |x|_p^p, against which the rounding error of a distance is judged;
// zero for plain coordinates, whose differences have none. Beyond `count` the value that keeps a
// padding point clear of every special case: huge where sizes enter the distance (p = 2: S becomes
// huge, K zero), hugely negative where they only set a threshold.
template <class T>
void panel_sizes(const Law<T>& law, const Transform<T>& transform, const T* panel,
                 std::int64_t count, T* sizes);

// All points in the forms that loops over centres read.
template <class T>
struct PackedPoints {
  std::int64_t count = 0;
  std::int64_t depth = 0;
  std::int64_t columns = 0;         // depth + 1 if by_column was asked for
  Buffer<T> row_panels;             // [panel][coordinate][point], tile_rows points a panel
  Buffer<T> lane_panels;            // [panel][coordinate][point], lanes points a panel
  Buffer<T> row_rest;               // what rounding left, as row_panels; empty without rests
  Buffer<T> lane_rest;              // likewise, as lane_panels
  Buffer<T> row_sizes;              // for row panels, padded
  Buffer<T> lane_sizes;             // for lane panels, padded
  std::vector<T> largest_in_rows;   // size in each row panel
  std::vector<T> largest_in_lanes;  // size in each lane panel
  Buffer<T> by_column;  // [group][point][column], tile_rows columns a group; the last column
                        // is 1, so that a sum of weights comes along with the weighted sums
};

struct Forms {
  bool rows = false;
  bool lanes = false;
  bool by_column = false;
};

template <class T>
PackedPoints<T> pack_points(const Source& points, const Law<T>& law, const Transform<T>& transform,
                            Forms forms, Interrupt& interrupt);

}  // namespace fastrfm
