// What every backend's transform agrees on beyond the law: the point that coordinates are taken from,
// and how far a row may lie from it.
#pragma once

#include <cstdint>

namespace fastrfm {

// Rows that the central point is taken from: its exact place does not matter.
inline constexpr std::int64_t kCentralRows = 256;

// Coordinates beyond this many bandwidths are drawn in, the row as a whole, so that their squares,
// the sums of many of them and their products stay finite. Pairs that this could affect have a kernel
// of zero or are recomputed.
template <class T>
inline constexpr double kFarthest = sizeof(T) == 4 ? 1e15 : 1e140;

}  // namespace fastrfm
