#include "kernel_matrix.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/parallel.hpp"
#include "tile/packed_layout.hpp"
#include "tile/panels.hpp"
#include "tile/touch.hpp"

namespace fastrfm {
namespace {

// A block of K is computed here and then written out in long runs: 384 x 384 float32 is 576 KiB,
// inside a core's L2; a multiple of every level's tile (12, 6, 4 rows; 32, 16, 8, 4 lanes).
template <class T>
constexpr std::int64_t kBlock = sizeof(T) == 4 ? 384 : 192;

// The stored part of one row of the output: entries [low, high) at base[entry].
template <class T>
struct Run {
  T* base;
  std::int64_t low;
  std::int64_t high;
};

// Full n x m output.
template <class T>
struct FullOutput {
  T* out;
  std::int64_t columns;
  bool symmetric;
  Run<T> row(std::int64_t r) const { return {out + r * columns, 0, columns}; }
  Run<T> mirrored(std::int64_t s) const { return {out + s * columns, 0, symmetric ? columns : 0}; }
};

// Rectangular full packed lower triangle (tile/packed_layout.hpp).
template <class T>
struct PackedOutput {
  T* out;
  PackedLayout layout;
  PackedOutput(T* array, std::int64_t size) : out(array), layout(size) {}
  Run<T> row(std::int64_t r) const {
    if (r >= layout.split) return {out, 0, 0};
    return {out + layout.leading(r), r, layout.n};
  }
  Run<T> mirrored(std::int64_t s) const {
    if (s < layout.split) return {out, 0, 0};
    return {out + layout.trailing(s - layout.trailing_row(0)), layout.split, s + 1};
  }
};

template <class T>
struct Block {
  std::int64_t row_begin, row_end;  // points
  std::int64_t lane_begin, lane_end;
};

template <class T>
void write_run(const Level<T>& lv, const Run<T>& run, const T* values, std::int64_t begin,
               std::int64_t end) {
  const std::int64_t low = std::max(begin, run.low);
  const std::int64_t high = std::min(end, run.high);
  if (low < high) lv.copy_out(run.base + low, values + (low - begin), high - low);
}

template <class T>
class Filler {
 public:
  Filler(const Law<T>& law, const Transform<T>& transform, const Source& x, const Source& z,
         const PackedPoints<T>& rows, const PackedPoints<T>& lanes, bool symmetric)
      : lv_(level<T>()),
        law_(law),
        transform_(transform),
        x_(x),
        z_(z),
        rows_(rows),
        lanes_(lanes),
        symmetric_(symmetric) {}

  double operations(std::int64_t n, std::int64_t m) const {
    return static_cast<double>(n) * static_cast<double>(m) * law_.operations(rows_.depth);
  }

  struct Scratch {
    Buffer<T> values{kBlock<T> * kBlock<T>};
    Buffer<T> strip{16 * kBlock<T>};
    std::vector<double> work;
  };

  template <class Output>
  void fill(const Block<T>& block, const Output& output, Scratch& scratch, Interrupt& interrupt,
            bool calling_thread) const {
    if (!compute(block, scratch, interrupt, calling_thread)) return;
    const bool diagonal = symmetric_ && block.row_begin == block.lane_begin;
    T* values = scratch.values.data();
    if (diagonal) {
      // Both triangles were computed; taking one makes symmetry exact by construction.
      for (std::int64_t r = 1; r < block.row_end - block.row_begin; ++r)
        for (std::int64_t s = 0; s < r; ++s) values[r * kBlock<T> + s] = values[s * kBlock<T> + r];
    }
    for (std::int64_t r = block.row_begin; r < block.row_end; ++r)
      write_run(lv_, output.row(r), values + (r - block.row_begin) * kBlock<T>, block.lane_begin,
                block.lane_end);
    if (symmetric_ && !(diagonal && is_full(output))) mirror(block, output, scratch);
    lv_.copy_fence();
  }

 private:
  static bool is_full(const FullOutput<T>&) { return true; }
  static bool is_full(const PackedOutput<T>&) { return false; }

  // The block's values into scratch, rows kBlock apart. False if interrupted.
  bool compute(const Block<T>& block, Scratch& scratch, Interrupt& interrupt,
               bool calling_thread) const {
    const auto tile = lv_.values[static_cast<int>(law_.norm)][static_cast<int>(law_.radial)];
    Touch<T> touch{transform_, x_, z_, 0, 0, scratch.work};
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
        args.out =
            scratch.values.data() + (i - block.row_begin) * kBlock<T> + (j - block.lane_begin);
        args.largest_size = rows_.largest_in_rows[static_cast<std::size_t>(i / lv_.tile_rows)] +
                            lanes_.largest_in_lanes[static_cast<std::size_t>(j / lv_.lanes)];
        touch.first_x = i;
        tile(args, law_);
      }
    }
    return true;
  }

  // The block's transpose, a strip of columns at a time.
  template <class Output>
  void mirror(const Block<T>& block, const Output& output, Scratch& scratch) const {
    const std::int64_t width = lv_.transpose_width;
    for (std::int64_t s = block.lane_begin; s < block.lane_end; s += width) {
      const std::int64_t last = std::min(s + width, block.lane_end) - 1;
      const Run<T> longest = output.mirrored(last);
      if (longest.low >= longest.high) continue;
      for (std::int64_t r = 0; r < block.row_end - block.row_begin; r += width)
        lv_.transpose(scratch.values.data() + r * kBlock<T> + (s - block.lane_begin), kBlock<T>,
                      scratch.strip.data() + r, kBlock<T>);
      for (std::int64_t t = s; t <= last; ++t)
        write_run(lv_, output.mirrored(t), scratch.strip.data() + (t - s) * kBlock<T>,
                  block.row_begin, block.row_end);
    }
  }

  const Level<T>& lv_;
  const Law<T>& law_;
  const Transform<T>& transform_;
  const Source& x_;
  const Source& z_;
  const PackedPoints<T>& rows_;
  const PackedPoints<T>& lanes_;
  bool symmetric_;
};

template <class T>
void fill_symmetric(const KernelMatrixArgs<T>& args, bool packed, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.x));
  const PackedPoints<T> points =
      pack_points(args.x, law, transform, {true, true, false}, interrupt);
  const Filler<T> filler(law, transform, args.x, args.x, points, points, true);
  const std::int64_t n = args.x.rows;
  std::vector<Block<T>> blocks;
  for (std::int64_t i = 0; i < n; i += kBlock<T>)
    for (std::int64_t j = i; j < n; j += kBlock<T>)
      blocks.push_back({i, std::min(i + kBlock<T>, n), j, std::min(j + kBlock<T>, n)});
  using Scratch = typename Filler<T>::Scratch;
  parallel_tasks(
      static_cast<std::int64_t>(blocks.size()), filler.operations(n, n) / 2, interrupt,
      [] { return Scratch{}; },
      [&](std::int64_t task, Scratch& scratch, bool calling_thread) {
        const Block<T>& block = blocks[static_cast<std::size_t>(task)];
        if (packed)
          filler.fill(block, PackedOutput<T>(args.out, n), scratch, interrupt, calling_thread);
        else
          filler.fill(block, FullOutput<T>{args.out, n, true}, scratch, interrupt, calling_thread);
      });
}

}  // namespace

template <class T>
void kernel_matrix(const KernelMatrixArgs<T>& args, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.z));
  const PackedPoints<T> rows = pack_points(args.x, law, transform, {true, false, false}, interrupt);
  const PackedPoints<T> lanes =
      pack_points(args.z, law, transform, {false, true, false}, interrupt);
  const Filler<T> filler(law, transform, args.x, args.z, rows, lanes, false);
  const std::int64_t n = args.x.rows;
  const std::int64_t m = args.z.rows;
  const std::int64_t across = ceil_div(m, kBlock<T>);
  using Scratch = typename Filler<T>::Scratch;
  parallel_tasks(
      ceil_div(n, kBlock<T>) * across, filler.operations(n, m), interrupt, [] { return Scratch{}; },
      [&](std::int64_t task, Scratch& scratch, bool calling_thread) {
        const std::int64_t i = task / across * kBlock<T>;
        const std::int64_t j = task % across * kBlock<T>;
        const Block<T> block{i, std::min(i + kBlock<T>, n), j, std::min(j + kBlock<T>, m)};
        filler.fill(block, FullOutput<T>{args.out, m, false}, scratch, interrupt, calling_thread);
      });
}

template <class T>
void kernel_matrix_symmetric(const KernelMatrixArgs<T>& args, Interrupt& interrupt) {
  fill_symmetric(args, false, interrupt);
}

template <class T>
void kernel_matrix_packed(const KernelMatrixArgs<T>& args, Interrupt& interrupt) {
  fill_symmetric(args, true, interrupt);
}

#define FASTRFM_INSTANTIATE(T)                                                   \
  template void kernel_matrix(const KernelMatrixArgs<T>&, Interrupt&);           \
  template void kernel_matrix_symmetric(const KernelMatrixArgs<T>&, Interrupt&); \
  template void kernel_matrix_packed(const KernelMatrixArgs<T>&, Interrupt&);
FASTRFM_INSTANTIATE(float)
FASTRFM_INSTANTIATE(double)
#undef FASTRFM_INSTANTIATE

}  // namespace fastrfm
