#include "packed_matmul.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/buffer.hpp"
#include "common/parallel.hpp"
#include "tile/level.hpp"
#include "tile/packed_layout.hpp"

namespace fastrfm {
namespace {

// Strips of the array that are summed apart, whatever the number of threads, so that the result does
// not depend on it; enough for the threads of a large machine.
constexpr std::int64_t kStrips = 64;
// Outputs handled together: bounds the strips' partial sums.
constexpr std::int64_t kOutputBlock = 16;
// Entries of a row that stay in L1 while every output uses them.
constexpr std::int64_t kRun = 1024;

// One strip's partial result for a block of outputs, [output][row], and the operand likewise.
template <class T>
class Strip {
 public:
  Strip(const Level<T>& lv, const T* v, T* sums, std::int64_t n, std::int64_t outputs)
      : lv_(lv), v_(v), sums_(sums), n_(n), outputs_(outputs) {}

  // Entries A[first + i, begin .. end) at rows[i][...], i < count, all off the diagonal.
  void rectangle(const T* const* rows, std::int64_t first, std::int64_t count, std::int64_t begin,
                 std::int64_t end) {
    for (std::int64_t j = begin; j < end; j += kRun) {
      const std::int64_t length = std::min(kRun, end - j);
      const T* at[Level<T>::kSymmetricRows];
      for (std::int64_t i = 0; i < count; ++i) at[i] = rows[i] + j;
      for (std::int64_t l = 0; l < outputs_; ++l) {
        const T* v = v_ + l * n_;
        T* sums = sums_ + l * n_;
        lv_.symmetric_rows[count](at, length, v + j, v + first, sums + j, sums + first);
      }
    }
  }

  void entry(std::int64_t i, std::int64_t j, T a) {
    for (std::int64_t l = 0; l < outputs_; ++l) {
      sums_[l * n_ + i] += a * v_[l * n_ + j];
      if (i != j) sums_[l * n_ + j] += a * v_[l * n_ + i];
    }
  }

 private:
  const Level<T>& lv_;
  const T* v_;
  T* sums_;
  std::int64_t n_;
  std::int64_t outputs_;
};

// Columns first .. first + count of the packed array.
template <class T>
void add_columns(const PackedLayout& layout, const T* packed, std::int64_t first,
                 std::int64_t count, Strip<T>& strip) {
  const T* rows[Level<T>::kSymmetricRows];
  // Leading part: a triangle at the diagonal, then a rectangle right of it.
  for (std::int64_t i = 0; i < count; ++i) {
    rows[i] = packed + layout.leading(first + i);
    for (std::int64_t j = i; j < count; ++j) strip.entry(first + i, first + j, rows[i][first + j]);
  }
  strip.rectangle(rows, first, count, first + count, layout.n);
  // Trailing part: a rectangle left of the diagonal, then the triangle. The first column of an odd
  // matrix has none.
  std::int64_t begin = 0;
  while (begin < count && layout.trailing_row(first + begin) < layout.split) ++begin;
  const std::int64_t row = layout.trailing_row(first + begin);
  const std::int64_t present = count - begin;
  if (present <= 0) return;
  for (std::int64_t i = 0; i < present; ++i) {
    rows[i] = packed + layout.trailing(first + begin + i);
    for (std::int64_t j = 0; j <= i; ++j) strip.entry(row + i, row + j, rows[i][row + j]);
  }
  strip.rectangle(rows, row, present, layout.split, row);
}

}  // namespace

template <class T>
void packed_matmul(const PackedMatmulArgs<T>& args, Interrupt& interrupt) {
  const Level<T>& lv = level<T>();
  const PackedLayout layout(args.n);
  const std::int64_t n = args.n;
  const std::int64_t c = args.outputs;
  const std::int64_t columns = n / 2 + n % 2;
  const std::int64_t width =
      round_up(ceil_div(columns, kStrips), std::int64_t{Level<T>::kSymmetricRows});
  const std::int64_t strips = ceil_div(columns, width);
  const std::int64_t most = std::min(c, kOutputBlock);
  Buffer<T> v(most * n);
  Buffer<T> sums(strips * most * n);
  for (std::int64_t l0 = 0; l0 < c; l0 += kOutputBlock) {
    const std::int64_t outputs = std::min(kOutputBlock, c - l0);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t l = 0; l < outputs; ++l) v[l * n + i] = args.v[i * c + l0 + l];
    const double operations =
        2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(outputs);
    parallel_tasks(
        strips, operations, interrupt, [] { return NoScratch{}; },
        [&](std::int64_t task, NoScratch&, bool calling_thread) {
          T* own = sums.data() + task * most * n;
          std::fill(own, own + outputs * n, T(0));
          Strip<T> strip(lv, v.data(), own, n, outputs);
          const std::int64_t end = std::min(columns, (task + 1) * width);
          for (std::int64_t q = task * width; q < end; q += Level<T>::kSymmetricRows) {
            if (interrupt.poll(calling_thread)) return;
            add_columns(layout, args.packed, q,
                        std::min<std::int64_t>(Level<T>::kSymmetricRows, end - q), strip);
          }
        });
    constexpr std::int64_t block = 4096;
    parallel_tasks(ceil_div(n, block), static_cast<double>(strips * n * outputs), interrupt,
                   [&](std::int64_t b) {
                     const std::int64_t end = std::min(n, (b + 1) * block);
                     for (std::int64_t l = 0; l < outputs; ++l)
                       for (std::int64_t i = b * block; i < end; ++i) {
                         double sum = 0.0;
                         for (std::int64_t s = 0; s < strips; ++s)
                           sum += static_cast<double>(sums[(s * most + l) * n + i]);
                         args.out[i * c + l0 + l] = static_cast<T>(sum);
                       }
                   });
  }
}

template void packed_matmul(const PackedMatmulArgs<float>&, Interrupt&);
template void packed_matmul(const PackedMatmulArgs<double>&, Interrupt&);

}  // namespace fastrfm
