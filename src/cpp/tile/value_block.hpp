// A rectangle of kernel values, computed tile by tile into a buffer that stays in a core's L2: what
// kernel_matrix writes out, and what the symmetric kernel_matmul multiplies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../common/interrupt.hpp"
#include "panels.hpp"
#include "touch.hpp"

namespace fastrfm {

// Points of a block's side: 288 x 288 float32 values are 324 KiB, so that two blocks and the points
// of one lie in a core's L2; a multiple of every level's tile (12, 6, 4 rows; 32, 16, 8, 4 lanes).
template <class T>
constexpr std::int64_t kBlock = sizeof(T) == 4 ? 288 : 192;

struct Block {
  std::int64_t row_begin, row_end;  // points
  std::int64_t lane_begin, lane_end;

  std::int64_t rows() const { return row_end - row_begin; }
  std::int64_t lanes() const { return lane_end - lane_begin; }
};

template <class T>
class ValueBlock {
 public:
  // `rows` are x packed as row panels, `lanes` z packed as lane panels.
  ValueBlock(const Law<T>& law, const Transform<T>& transform, const Source& x, const Source& z,
             const PackedPoints<T>& rows, const PackedPoints<T>& lanes)
      : lv_(level<T>()),
        law_(law),
        transform_(transform),
        x_(x),
        z_(z),
        rows_(rows),
        lanes_(lanes) {}

  double operations(double pairs) const { return pairs * law_.operations(rows_.depth); }

  std::int64_t tiles(const Block& block) const {
    return ceil_div(block.rows(), std::int64_t{lv_.tile_rows}) *
           ceil_div(block.lanes(), std::int64_t{lv_.lanes});
  }

  // values[r * kBlock + s] = K of the block's row r and lane s; `between()` is called after each
  // tile. The block begins at a multiple of the level's tile. False if interrupted.
  template <class Between>
  bool compute(const Block& block, T* values, std::vector<double>& work, Interrupt& interrupt,
               bool calling_thread, Between between) const {
    const auto tile = lv_.values[static_cast<int>(law_.norm)][static_cast<int>(law_.radial)];
    Touch<T> touch{transform_, x_, z_, 0, 0, work};
    TileArgs<T> args{};
    args.depth = rows_.depth;
    args.coordinate_weights = transform_.coordinate_weights();
    args.stride = kBlock<T>;
    args.touch = Touch<T>::exact;
    args.context = &touch;
    for (std::int64_t j = block.lane_begin; j < block.lane_end; j += lv_.lanes) {
      if (interrupt.poll(calling_thread)) return false;
      args.lanes = lanes_.lane_panels.data() + j * lanes_.depth;
      args.lane_sizes = lanes_.lane_sizes.data() + j;
      touch.first_z = j;
      for (std::int64_t i = block.row_begin; i < block.row_end; i += lv_.tile_rows) {
        args.rows = rows_.row_panels.data() + i * rows_.depth;
        args.row_sizes = rows_.row_sizes.data() + i;
        if (transform_.has_rest()) {
          args.rows_rest = rows_.row_rest.data() + i * rows_.depth;
          args.lanes_rest = lanes_.lane_rest.data() + j * lanes_.depth;
        }
        args.out = values + (i - block.row_begin) * kBlock<T> + (j - block.lane_begin);
        args.largest_size = rows_.largest_in_rows[static_cast<std::size_t>(i / lv_.tile_rows)] +
                            lanes_.largest_in_lanes[static_cast<std::size_t>(j / lv_.lanes)];
        touch.first_x = i;
        tile(args, law_);
        between();
      }
    }
    return true;
  }

 private:
  const Level<T>& lv_;
  const Law<T>& law_;
  const Transform<T>& transform_;
  const Source& x_;
  const Source& z_;
  const PackedPoints<T>& rows_;
  const PackedPoints<T>& lanes_;
};

}  // namespace fastrfm
