// Builds a level's table. Included once by each simd/level_*.cpp, after its vec_*.hpp, with
// FASTRFM_LEVEL naming the level's namespace. Everything here has that namespace or is a template
// on its vector types, so that nothing compiled for one instruction set is linked into another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "level.hpp"

namespace fastrfm::FASTRFM_LEVEL {

// Points of a lane panel.
template <class T>
inline constexpr int kLanes = kTileVectors * Vec<T>::lanes;

#include "columns.hpp"
#include "copies.hpp"
#include "sums.hpp"
#include "tiles.hpp"
#include "wide_sums.hpp"

template <class T, Norm N, bool Weights>
void fill_tiles(typename Level<T>::Tile (&row)[kRadials]) {
  row[static_cast<int>(Radial::identity)] = tile<N, Radial::identity, Weights, T>;
  row[static_cast<int>(Radial::square_root)] = tile<N, Radial::square_root, Weights, T>;
  row[static_cast<int>(Radial::power)] = tile<N, Radial::power, Weights, T>;
}

template <class T, int Rows>
void fill_accumulate(Level<T>& level) {
  level.accumulate[Rows] = accumulate<T, Rows>;
  if constexpr (Rows > 1) fill_accumulate<T, Rows - 1>(level);
}

template <class T, int Count>
void fill_symmetric_rows(Level<T>& level) {
  level.symmetric_rows[Count] = symmetric_rows<T, Count>;
  if constexpr (Count > 1) fill_symmetric_rows<T, Count - 1>(level);
}

template <class T>
Level<T> make_level() {
  static_assert(kTileRows <= Level<T>::kMaxTileRows);
  Level<T> level{};
  level.tile_rows = kTileRows;
  level.lanes = kLanes<T>;
  fill_tiles<T, Norm::two, false>(level.values[static_cast<int>(Norm::two)]);
  fill_tiles<T, Norm::two_direct, false>(level.values[static_cast<int>(Norm::two_direct)]);
  fill_tiles<T, Norm::one, false>(level.values[static_cast<int>(Norm::one)]);
  fill_tiles<T, Norm::general, false>(level.values[static_cast<int>(Norm::general)]);
  fill_tiles<T, Norm::two, true>(level.weights[static_cast<int>(Norm::two)]);
  fill_tiles<T, Norm::two_direct, true>(level.weights[static_cast<int>(Norm::two_direct)]);
  fill_tiles<T, Norm::one, true>(level.weights[static_cast<int>(Norm::one)]);
  fill_tiles<T, Norm::general, true>(level.weights[static_cast<int>(Norm::general)]);
  fill_accumulate<T, kTileRows>(level);
  fill_symmetric_rows<T, Level<T>::kSymmetricRows>(level);
  level.scale_rows = scale_rows<T>;
  level.scale_columns = scale_columns<T>;
  level.differences[static_cast<int>(Norm::two)] = nullptr;  // a product instead
  level.differences[static_cast<int>(Norm::two_direct)] = differences<Norm::two_direct, T>;
  level.differences[static_cast<int>(Norm::one)] = differences<Norm::one, T>;
  level.differences[static_cast<int>(Norm::general)] = differences<Norm::general, T>;
  level.near_gradient = near_gradient<T>;
  level.row_dots = row_dots<T>;
  level.add_rows = add_rows<T>;
  level.copy_out = copy_out<T>;
  level.copy_fence = copy_fence;
  level.transpose_width = Vec<T>::lanes;
  level.transpose = transpose<T>;
  return level;
}

}  // namespace fastrfm::FASTRFM_LEVEL
