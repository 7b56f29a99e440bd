// Pairs of rows that nearly coincide, seen from inside a tile: recomputed from the caller's rows.
#pragma once

#include <cstdint>
#include <vector>

#include "transform.hpp"

namespace fastrfm {

template <class T>
struct Touch {
  const Transform<T>& transform;
  const Source& x;  // the tile's rows
  const Source& z;  // the tile's lanes
  std::int64_t first_x;
  std::int64_t first_z;
  std::vector<double>& work;

  // TileArgs::touch
  static T exact(void* context, int row, int lane) {
    auto& self = *static_cast<Touch*>(context);
    // Padding, beside a point so far that it has no finite size to be held against.
    if (self.first_x + row >= self.x.rows || self.first_z + lane >= self.z.rows) return T(0);
    return static_cast<T>(self.transform.exact_pair(self.x, self.first_x + row, self.z,
                                                    self.first_z + lane, self.work, nullptr));
  }
};

}  // namespace fastrfm
