#include "kernel_matmul.hpp"

#include <algorithm>
#include <vector>

#include "common/parallel.hpp"
#include "tile/parts.hpp"
#include "tile/row_tile.hpp"
#include "tile/touch.hpp"

namespace fastrfm {
namespace {

// All rows, for one part of the centres: `args.z` and `args.v` are the part's. Adds to `out`, but for
// the first part.
template <class T>
void multiply_part(const KernelMatmulArgs<T>& args, const Law<T>& law,
                   const Transform<T>& transform, bool first_part, Interrupt& interrupt) {
  const Level<T>& lv = level<T>();
  const PackedPoints<T> centres =
      pack_points(args.z, law, transform, {true, false, false}, interrupt);
  const auto tile = lv.values[static_cast<int>(law.norm)][static_cast<int>(law.radial)];
  const std::int64_t n = args.x.rows;
  const std::int64_t m = args.z.rows;
  const std::int64_t c = args.outputs;
  const std::int64_t lanes = lv.lanes;
  const std::int64_t depth = transform.depth();
  const std::int64_t panels = panels_per_task<T>(n, c + depth + kCentreBlock);
  const std::int64_t rows_per_task = panels * lanes;

  struct Scratch {
    LaneTile<T> tile;
    Buffer<T> values;  // a centre block of K for one lane panel, [centre][lane]
    Buffer<T> sums;    // [panel][output][lane]
    std::vector<double> work;
  };
  const auto make_scratch = [&] {
    return Scratch{LaneTile<T>(panels, transform),
                   Buffer<T>(kCentreBlock * lanes),
                   Buffer<T>(panels * c * lanes),
                   {}};
  };
  const auto body = [&](std::int64_t task, Scratch& scratch, bool calling_thread) {
    LaneTile<T>& points = scratch.tile;
    points.pack(args.x, law, transform, task * rows_per_task,
                std::min(n, (task + 1) * rows_per_task));
    scratch.sums.clear();
    Touch<T> touch{transform, args.z, args.x, 0, 0, scratch.work};
    TileArgs<T> tile_args{};
    tile_args.depth = depth;
    tile_args.coordinate_weights = transform.coordinate_weights();
    tile_args.stride = lanes;
    tile_args.touch = Touch<T>::exact;
    tile_args.context = &touch;
    for (std::int64_t j0 = 0; j0 < m; j0 += kCentreBlock) {
      if (interrupt.poll(calling_thread)) return;
      const std::int64_t block = std::min(kCentreBlock, m - j0);
      for (std::int64_t p = 0; p < points.panels; ++p) {
        tile_args.lanes = points.points.data() + p * lanes * depth;
        tile_args.lane_sizes = points.sizes.data() + p * lanes;
        touch.first_z = points.first + p * lanes;
        for (std::int64_t j = 0; j < block; j += lv.tile_rows) {
          tile_args.rows = centres.row_panels.data() + (j0 + j) * depth;
          tile_args.row_sizes = centres.row_sizes.data() + j0 + j;
          if (transform.has_rest()) {
            tile_args.rows_rest = centres.row_rest.data() + (j0 + j) * depth;
            tile_args.lanes_rest = points.rest.data() + p * lanes * depth;
          }
          tile_args.out = scratch.values.data() + j * lanes;
          tile_args.largest_size =
              centres.largest_in_rows[static_cast<std::size_t>((j0 + j) / lv.tile_rows)] +
              points.largest[static_cast<std::size_t>(p)];
          touch.first_x = j0 + j;
          tile(tile_args, law);
        }
        for (std::int64_t l = 0; l < c; l += lv.tile_rows)
          lv.accumulate[std::min<std::int64_t>(lv.tile_rows, c - l)](
              args.v + j0 * c + l, c, scratch.values.data(), block,
              scratch.sums.data() + (p * c + l) * lanes, lanes);
      }
    }
    for (std::int64_t i = 0; i < points.count; ++i)
      for (std::int64_t l = 0; l < c; ++l) {
        T& out = args.out[(points.first + i) * c + l];
        const T sum = scratch.sums[(i / lanes * c + l) * lanes + i % lanes];
        out = first_part ? sum : out + sum;
      }
  };
  const double operations = static_cast<double>(n) * static_cast<double>(m) *
                            (law.operations(depth) + 2.0 * static_cast<double>(c));
  parallel_tasks(ceil_div(n, rows_per_task), operations, interrupt, make_scratch, body);
}

}  // namespace

template <class T>
void kernel_matmul(const KernelMatmulArgs<T>& args, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.z));
  const Parts parts = parts_of(args.z.rows, transform, args.part_rows);
  for (std::int64_t p = 0; p < parts.count(); ++p) {
    KernelMatmulArgs<T> part = args;
    part.z = slice(args.z, parts.begin(p), parts.end(p));
    part.v = args.v + parts.begin(p) * args.outputs;
    multiply_part(part, law, transform, p == 0, interrupt);
  }
}

template void kernel_matmul(const KernelMatmulArgs<float>&, Interrupt&);
template void kernel_matmul(const KernelMatmulArgs<double>&, Interrupt&);

}  // namespace fastrfm
