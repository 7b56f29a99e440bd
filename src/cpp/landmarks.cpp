#include "landmarks.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/buffer.hpp"
#include "common/parallel.hpp"
#include "tile/level.hpp"
#include "tile/outer_products.hpp"

namespace fastrfm {
namespace {

// Rows of C that are converted to double together for the Gram matrix: long enough sums for the
// outer product's tiles, 8 KiB a landmark.
constexpr std::int64_t kGramRows = 1024;
// Rows of C that one task takes, at least.
constexpr std::int64_t kTaskRows = 256;
// Parts of C whose products are summed apart, at most; and outputs handled together, which bounds
// what the parts hold.
constexpr std::int64_t kParts = 64;
constexpr std::int64_t kOutputBlock = 8;
constexpr int kRows = 4;  // rows of C that go through a core together

double operations(double n, double r, double outputs) { return 2.0 * n * r * outputs; }

// columns[l][i] = matrix[i][l0 + l]
Buffer<double> columns_of(const double* matrix, std::int64_t rows, std::int64_t stride,
                          std::int64_t l0, std::int64_t count) {
  Buffer<double> columns(rows * count);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t l = 0; l < count; ++l) columns[l * rows + i] = matrix[i * stride + l0 + l];
  return columns;
}

}  // namespace

template <class T>
void landmark_gram(const LandmarkArgs<T>& args, double* gram, Interrupt& interrupt) {
  const std::int64_t r = args.r;
  std::fill(gram, gram + r * r, 0.0);
  Chunk<double> chunk(r, std::min(args.n, kGramRows));
  const std::int64_t lanes = chunk.lanes;
  for (std::int64_t first = 0; first < args.n; first += kGramRows) {
    const std::int64_t count = std::min(kGramRows, args.n - first);
    parallel_tasks(ceil_div(count, std::int64_t{64}), static_cast<double>(count * r), interrupt,
                   [&](std::int64_t task) {
                     const std::int64_t end = std::min(count, (task + 1) * 64);
                     for (std::int64_t i = task * 64; i < end; ++i) {
                       const T* from = args.c + (first + i) * r;
                       for (std::int64_t k = 0; k < r; k += lanes) {
                         double* to = chunk.row(k / lanes, i);
                         const std::int64_t width = std::min(lanes, r - k);
                         for (std::int64_t lane = 0; lane < width; ++lane)
                           to[lane] = static_cast<double>(from[k + lane]);
                       }
                     }
                   });
    add_outer_products(chunk, count, gram, interrupt);
  }
  for (std::int64_t a = 0; a < r; ++a)
    for (std::int64_t b = 0; b < a; ++b) gram[a * r + b] = gram[b * r + a];
}

template <class T>
void landmark_matmul(const LandmarkArgs<T>& args, const double* b, std::int64_t outputs,
                     double* out, Interrupt& interrupt) {
  const Level<T>& lv = level<T>();
  const std::int64_t r = args.r;
  const Buffer<double> columns = columns_of(b, r, outputs, 0, outputs);
  parallel_tasks(
      ceil_div(args.n, kTaskRows),
      operations(static_cast<double>(args.n), static_cast<double>(r), static_cast<double>(outputs)),
      interrupt, [&](std::int64_t task) {
        const std::int64_t end = std::min(args.n, (task + 1) * kTaskRows);
        for (std::int64_t i = task * kTaskRows; i < end; i += kRows) {
          const int count = static_cast<int>(std::min<std::int64_t>(kRows, end - i));
          for (std::int64_t l = 0; l < outputs; ++l) {
            double sums[kRows];
            lv.row_dots(args.c + i * r, r, count, r, columns.data() + l * r, sums);
            for (int q = 0; q < count; ++q) out[(i + q) * outputs + l] = sums[q];
          }
        }
      });
}

template <class T>
void landmark_transposed_matmul(const LandmarkArgs<T>& args, const double* residuals,
                                std::int64_t outputs, double* out, Interrupt& interrupt) {
  const Level<T>& lv = level<T>();
  const std::int64_t r = args.r;
  const std::int64_t rows =
      round_up(std::max(kTaskRows, ceil_div(args.n, kParts)), std::int64_t{kRows});
  const std::int64_t parts = ceil_div(args.n, rows);
  const std::int64_t most = std::min(outputs, kOutputBlock);
  Buffer<double> sums(parts * most * r);
  for (std::int64_t l0 = 0; l0 < outputs; l0 += most) {
    const std::int64_t count = std::min(most, outputs - l0);
    const double work =
        operations(static_cast<double>(args.n), static_cast<double>(r), static_cast<double>(count));
    parallel_tasks(parts, work, interrupt, [&](std::int64_t part) {
      double* own = sums.data() + part * most * r;
      std::fill(own, own + count * r, 0.0);
      const std::int64_t end = std::min(args.n, (part + 1) * rows);
      for (std::int64_t i = part * rows; i < end; i += kRows) {
        const int taken = static_cast<int>(std::min<std::int64_t>(kRows, end - i));
        for (std::int64_t l = 0; l < count; ++l) {
          double factors[kRows] = {};
          for (int q = 0; q < taken; ++q) factors[q] = residuals[(i + q) * outputs + l0 + l];
          lv.add_rows(args.c + i * r, r, taken, r, factors, own + l * r);
        }
      }
    });
    for (std::int64_t k = 0; k < r; ++k)
      for (std::int64_t l = 0; l < count; ++l) {
        double sum = 0.0;
        for (std::int64_t part = 0; part < parts; ++part) sum += sums[(part * most + l) * r + k];
        out[k * outputs + l0 + l] = sum;
      }
  }
}

#define FASTRFM_INSTANTIATE(T)                                                                  \
  template void landmark_gram(const LandmarkArgs<T>&, double*, Interrupt&);                     \
  template void landmark_matmul(const LandmarkArgs<T>&, const double*, std::int64_t, double*,   \
                                Interrupt&);                                                    \
  template void landmark_transposed_matmul(const LandmarkArgs<T>&, const double*, std::int64_t, \
                                           double*, Interrupt&);
FASTRFM_INSTANTIATE(float)
FASTRFM_INSTANTIATE(double)
#undef FASTRFM_INSTANTIATE

}  // namespace fastrfm
