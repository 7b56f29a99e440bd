#include "kernel_matrix.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/parallel.hpp"
#include "tile/packed_layout.hpp"
#include "tile/parts.hpp"
#include "tile/value_block.hpp"

namespace fastrfm {
namespace {

// The stored part of one row of the output: entries [low, high) at base[entry].
template <class T>
struct Run {
  T* base;
  std::int64_t low;
  std::int64_t high;
};

// Rectangle of an output whose rows are `stride` apart.
template <class T>
struct FullOutput {
  static constexpr bool kRowsHoldAll = true;  // a block on the diagonal needs no mirroring
  T* out;
  std::int64_t stride;
  std::int64_t columns;
  bool symmetric;
  Run<T> row(std::int64_t r) const { return {out + r * stride, 0, columns}; }
  Run<T> mirrored(std::int64_t s) const { return {out + s * stride, 0, symmetric ? columns : 0}; }
};

// Rectangular full packed lower triangle (tile/packed_layout.hpp).
template <class T>
struct PackedOutput {
  static constexpr bool kRowsHoldAll = false;
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
void write_run(const Level<T>& lv, const Run<T>& run, const T* values, std::int64_t begin,
               std::int64_t end) {
  const std::int64_t low = std::max(begin, run.low);
  const std::int64_t high = std::min(end, run.high);
  if (low < high) lv.copy_out(run.base + low, values + (low - begin), high - low);
}

// Writes finished blocks to the output, a few runs at a time between the tiles of the next block, so
// that memory takes them in while the core computes. One thread's; the last block is written when it
// goes.
template <class T, class Output>
class Writer {
 public:
  Writer(const Output& output, bool symmetric)
      : lv_(level<T>()),
        output_(output),
        symmetric_(symmetric),
        values_{Buffer<T>(kBlock<T> * kBlock<T>), Buffer<T>(kBlock<T> * kBlock<T>)},
        strip_(lv_.transpose_width * kBlock<T>) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { finish(); }

  // Where the next block is to be computed, in `tiles` steps.
  T* next(std::int64_t tiles) {
    runs_a_step_ = ceil_div(runs(), std::max<std::int64_t>(tiles, 1));
    return values_[1 - waiting_].data();
  }

  // Some runs of the block that waits.
  void step() {
    for (std::int64_t run = 0; run < runs_a_step_ && !done(); ++run) write_one();
  }

  // `block` has been computed at next(); the one that waited is written to its end.
  void put(const Block& block) {
    finish();
    waiting_ = 1 - waiting_;
    block_ = block;
    row_ = block.row_begin;
    const bool diagonal = symmetric_ && block.row_begin == block.lane_begin;
    if (diagonal) {
      // Both triangles were computed; taking one makes symmetry exact by construction.
      T* values = values_[waiting_].data();
      for (std::int64_t r = 1; r < block.rows(); ++r)
        for (std::int64_t s = 0; s < r; ++s) values[r * kBlock<T> + s] = values[s * kBlock<T> + r];
    }
    const bool mirrors = symmetric_ && !(diagonal && Output::kRowsHoldAll);
    mirrored_ = mirrors ? block.lane_begin : block.lane_end;
  }

  std::vector<double> work;

 private:
  bool done() const { return row_ >= block_.row_end && mirrored_ >= block_.lane_end; }
  std::int64_t runs() const { return (block_.row_end - row_) + (block_.lane_end - mirrored_); }

  void finish() {
    while (!done()) write_one();
    lv_.copy_fence();
  }

  // One run of a row, or one of the transpose, in turn.
  void write_one() {
    const T* values = values_[waiting_].data();
    if (row_ < block_.row_end) {
      write_run(lv_, output_.row(row_), values + (row_ - block_.row_begin) * kBlock<T>,
                block_.lane_begin, block_.lane_end);
      ++row_;
      return;
    }
    const std::int64_t width = lv_.transpose_width;
    const std::int64_t s = mirrored_ - block_.lane_begin;
    const Run<T> run = output_.mirrored(mirrored_);
    if (s % width == 0) {
      // A strip of columns is transposed at once, unless none of it is stored.
      const std::int64_t last = std::min(mirrored_ + width, block_.lane_end) - 1;
      const Run<T> longest = output_.mirrored(last);
      if (longest.low >= longest.high) {
        mirrored_ = last + 1;
        return;
      }
      for (std::int64_t r = 0; r < block_.rows(); r += width)
        lv_.transpose(values + r * kBlock<T> + s, kBlock<T>, strip_.data() + r, kBlock<T>);
    }
    write_run(lv_, run, strip_.data() + s % width * kBlock<T>, block_.row_begin, block_.row_end);
    ++mirrored_;
  }

  const Level<T>& lv_;
  Output output_;
  bool symmetric_;
  Buffer<T> values_[2];
  Buffer<T> strip_;
  int waiting_ = 0;
  Block block_{0, 0, 0, 0};
  std::int64_t row_ = 0;       // next row to write
  std::int64_t mirrored_ = 0;  // next column to write as a row
  std::int64_t runs_a_step_ = 0;
};

// All blocks, into `output`.
template <class T, class Output>
void fill(const ValueBlock<T>& values, const std::vector<Block>& blocks, const Output& output,
          bool symmetric, double pairs, Interrupt& interrupt) {
  parallel_tasks(
      static_cast<std::int64_t>(blocks.size()), values.operations(pairs), interrupt,
      [&] { return Writer<T, Output>(output, symmetric); },
      [&](std::int64_t task, Writer<T, Output>& writer, bool calling_thread) {
        const Block& block = blocks[static_cast<std::size_t>(task)];
        T* to = writer.next(values.tiles(block));
        if (values.compute(block, to, writer.work, interrupt, calling_thread,
                           [&] { writer.step(); }))
          writer.put(block);
      });
}

template <class T>
void fill_symmetric(const KernelMatrixArgs<T>& args, bool packed, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.x));
  const PackedPoints<T> points =
      pack_points(args.x, law, transform, {true, true, false}, interrupt);
  const ValueBlock<T> values(law, transform, args.x, args.x, points, points);
  const std::int64_t n = args.x.rows;
  std::vector<Block> blocks;
  for (std::int64_t i = 0; i < n; i += kBlock<T>)
    for (std::int64_t j = i; j < n; j += kBlock<T>)
      blocks.push_back({i, std::min(i + kBlock<T>, n), j, std::min(j + kBlock<T>, n)});
  const double pairs = 0.5 * static_cast<double>(n) * static_cast<double>(n);
  if (packed)
    fill(values, blocks, PackedOutput<T>(args.out, n), true, pairs, interrupt);
  else
    fill(values, blocks, FullOutput<T>{args.out, n, n, true}, true, pairs, interrupt);
}

}  // namespace

template <class T>
void kernel_matrix(const KernelMatrixArgs<T>& args, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.z));
  const std::int64_t m = args.z.rows;
  const Parts row_parts = parts_of(args.x.rows, transform, args.part_rows);
  const Parts lane_parts = parts_of(m, transform, args.part_rows);
  for (std::int64_t q = 0; q < lane_parts.count(); ++q) {
    const Source z = slice(args.z, lane_parts.begin(q), lane_parts.end(q));
    const PackedPoints<T> lanes = pack_points(z, law, transform, {false, true, false}, interrupt);
    for (std::int64_t p = 0; p < row_parts.count(); ++p) {
      const Source x = slice(args.x, row_parts.begin(p), row_parts.end(p));
      const PackedPoints<T> rows = pack_points(x, law, transform, {true, false, false}, interrupt);
      const ValueBlock<T> values(law, transform, x, z, rows, lanes);
      std::vector<Block> blocks;
      for (std::int64_t i = 0; i < x.rows; i += kBlock<T>)
        for (std::int64_t j = 0; j < z.rows; j += kBlock<T>)
          blocks.push_back(
              {i, std::min(i + kBlock<T>, x.rows), j, std::min(j + kBlock<T>, z.rows)});
      T* corner = args.out + row_parts.begin(p) * m + lane_parts.begin(q);
      fill(values, blocks, FullOutput<T>{corner, m, z.rows, false}, false,
           static_cast<double>(x.rows) * static_cast<double>(z.rows), interrupt);
    }
  }
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
