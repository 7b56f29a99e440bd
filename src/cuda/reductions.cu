#include "reductions.hpp"

#include "tile.cuh"

namespace fastrfm::cuda {
namespace {

// Rows whose products are summed in T before they go into a sum in double.
constexpr int kRowsInT = 128;
// Outer products: a block makes 64 x 64 entries, 16 rows at a time.
constexpr int kEntries = 64;
constexpr int kRows = 16;
// Memory that partial sums may take; parts are as many as fit, and no more than fill a device.
constexpr std::int64_t kPartialBytes = 32 << 20;
constexpr std::int64_t kMostParts = 64;

template <class T>
__global__ void parts_kernel(const T* in, std::int64_t parts, std::int64_t stride,
                             std::int64_t count, T* out) {
  const std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (e >= count) return;
  double sum = 0.0;
  for (std::int64_t part = 0; part < parts; ++part)
    sum += static_cast<double>(in[part * stride + e]);
  out[e] = static_cast<T>(sum);
}

template <class T>
__global__ void finish_kernel(WeightedSums<T> pass, int per_output, std::int64_t part_stride,
                              bool scaled, const double* row_factors, T* out) {
  const Metric<T>& metric = pass.metric;
  const std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (e >= pass.rows * pass.outputs * metric.depth) return;
  const std::int64_t k = e % metric.depth;
  const std::int64_t row_output = e / metric.depth;
  const T* sums = pass.sums + row_output * per_output;
  double sum = 0.0;
  double weight = 0.0;
  const bool product = metric.law.norm == Norm::two;
  for (std::int64_t part = 0; part < pass.parts; ++part) {
    sum += static_cast<double>(sums[part * part_stride + k]);
    if (product) weight += static_cast<double>(sums[part * part_stride + metric.depth]);
  }
  if (product) {
    const std::int64_t i = pass.first_row + row_output / pass.outputs;
    const auto x = static_cast<double>(pass.x.coordinates[k * pass.x.stride + i]);
    sum = x * weight - sum;
  }
  if (row_factors != nullptr) sum *= row_factors[pass.first_row + row_output / pass.outputs];
  out[e] = static_cast<T>(scaled ? metric.gradients[k] * sum : sum);
}

// The upper tiles of g^T g over the rows of a part; partial[part][a][b].
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    outer_products_kernel(const T* g, std::int64_t rows, std::int64_t rows_each, int width,
                          int tiles, double* partial) {
  __shared__ T left[kRows][kEntries];
  __shared__ T right[kRows][kEntries];
  const int tile_pairs = tiles * (tiles + 1) / 2;
  int a_tile = 0;
  int b_tile = static_cast<int>(blockIdx.x) % tile_pairs;
  while (b_tile >= tiles - a_tile) b_tile -= tiles - a_tile++;
  b_tile += a_tile;
  const std::int64_t part = blockIdx.x / static_cast<unsigned>(tile_pairs);
  const int a0 = a_tile * kEntries;
  const int b0 = b_tile * kEntries;
  const int tx = static_cast<int>(threadIdx.x) % kSide;
  const int ty = static_cast<int>(threadIdx.x) / kSide;
  double totals[4][4] = {};
  T sums[4][4] = {};
  const std::int64_t begin = part * rows_each;
  const std::int64_t end = min(begin + rows_each, rows);
  for (std::int64_t row0 = begin; row0 < end; row0 += kRows) {
    for (int e = static_cast<int>(threadIdx.x); e < kRows * kEntries; e += kThreads) {
      const int column = e % kEntries;
      const std::int64_t row = row0 + e / kEntries;
      const T* from = g + row * width;
      left[e / kEntries][column] = row < end && a0 + column < width ? from[a0 + column] : T(0);
      right[e / kEntries][column] = row < end && b0 + column < width ? from[b0 + column] : T(0);
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      T a[4];
      T b[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        a[e] = left[r][ty + kSide * e];
        b[e] = right[r][tx + kSide * e];
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] = fma(a[i], b[j], sums[i][j]);
    }
    if ((row0 - begin) % kRowsInT == kRowsInT - kRows || row0 + kRows >= end) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          totals[i][j] += static_cast<double>(sums[i][j]);
          sums[i][j] = T(0);
        }
    }
    __syncthreads();
  }
  double* to = partial + part * width * width;
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int a = a0 + ty + kSide * i;
      const int b = b0 + tx + kSide * j;
      if (a < width && b < width) to[static_cast<std::int64_t>(a) * width + b] = totals[i][j];
    }
}

// sums[e] += its partial sums, for entries on and above the diagonal of a width x width matrix.
__global__ void add_upper_kernel(const double* partial, std::int64_t parts, int width,
                                 double* sums) {
  const std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t count = static_cast<std::int64_t>(width) * width;
  if (e >= count || e / width > e % width) return;
  double sum = sums[e];
  for (std::int64_t part = 0; part < parts; ++part) sum += partial[part * count + e];
  sums[e] = sum;
}

// partial[part][0][q] = sums, partial[part][1][q] = sums of squares, over the rows of a part.
template <class T>
__global__ void column_sums_kernel(const T* g, std::int64_t rows, std::int64_t rows_each,
                                   std::int64_t columns, std::int64_t column_blocks,
                                   const double* row_factors, double* partial) {
  const std::int64_t q = blockIdx.x % column_blocks * kThreads + threadIdx.x;
  const std::int64_t part = blockIdx.x / column_blocks;
  if (q >= columns) return;
  double sum = 0.0;
  double squares = 0.0;
  const std::int64_t end = min((part + 1) * rows_each, rows);
  for (std::int64_t row = part * rows_each; row < end; ++row) {
    const auto value = static_cast<double>(g[row * columns + q]);
    sum += row_factors == nullptr ? value : row_factors[row] * value;
    squares = fma(value, value, squares);
  }
  partial[(part * 2) * columns + q] = sum;
  partial[(part * 2 + 1) * columns + q] = squares;
}

__global__ void add_columns_kernel(const double* partial, std::int64_t parts, std::int64_t columns,
                                   double* plain, double* squares) {
  const std::int64_t q = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (q >= columns) return;
  for (std::int64_t part = 0; part < parts; ++part) {
    if (plain != nullptr) plain[q] += partial[(part * 2) * columns + q];
    if (squares != nullptr) squares[q] += partial[(part * 2 + 1) * columns + q];
  }
}

std::int64_t partial_sums(std::int64_t rows, std::int64_t rows_least, std::int64_t bytes_each) {
  const std::int64_t fit = kPartialBytes / bytes_each;
  const std::int64_t useful = ceil_div(rows, rows_least);
  const std::int64_t parts = fit < useful ? fit : useful;
  return parts < 1 ? 1 : (parts < kMostParts ? parts : kMostParts);
}

}  // namespace

template <class T>
void add_parts(const T* in, std::int64_t parts, std::int64_t stride, std::int64_t count, T* out,
               const Device& device) {
  launch("add parts", parts_kernel<T>, ceil_div(count, kThreads), device, in, parts, stride, count,
         out);
}

template <class T>
void finish_gradients(const WeightedSums<T>& pass, bool scaled, const double* row_factors, T* out,
                      const Device& device) {
  const std::int64_t stride = round_up(pass.rows, Shape<T>::side) * pass.columns();
  const std::int64_t count = pass.rows * pass.outputs * pass.metric.depth;
  launch("gradients", finish_kernel<T>, ceil_div(count, kThreads), device, pass, pass.per_output(),
         stride, scaled, row_factors, out);
}

template <class T>
void add_outer_products(const T* g, std::int64_t rows, int width, double* sums,
                        Reusable<double>& room, const Device& device) {
  const std::int64_t entries = static_cast<std::int64_t>(width) * width;
  const auto tiles = static_cast<int>(ceil_div(width, kEntries));
  const std::int64_t parts =
      partial_sums(rows, kRowsInT, entries * static_cast<std::int64_t>(sizeof(double)));
  const std::int64_t rows_each = round_up(ceil_div(rows, parts), kRows);
  double* partial = room.get(parts * entries, device);
  launch("outer products", outer_products_kernel<T>,
         parts * (static_cast<std::int64_t>(tiles) * (tiles + 1) / 2), device, g, rows, rows_each,
         width, tiles, partial);
  launch("outer products", add_upper_kernel, ceil_div(entries, kThreads), device, partial, parts,
         width, sums);
}

template <class T>
void add_column_sums(const T* g, std::int64_t rows, std::int64_t columns, const double* row_factors,
                     double* plain, double* squares, Reusable<double>& room, const Device& device) {
  const std::int64_t blocks = ceil_div(columns, kThreads);
  const std::int64_t parts =
      partial_sums(rows, kRowsInT, 2 * columns * static_cast<std::int64_t>(sizeof(double)));
  double* partial = room.get(2 * parts * columns, device);
  launch("column sums", column_sums_kernel<T>, parts * blocks, device, g, rows,
         ceil_div(rows, parts), columns, blocks, row_factors, partial);
  launch("column sums", add_columns_kernel, blocks, device, partial, parts, columns, plain,
         squares);
}

#define FASTRFM_INSTANTIATE(T)                                                                    \
  template void add_parts(const T*, std::int64_t, std::int64_t, std::int64_t, T*, const Device&); \
  template void finish_gradients(const WeightedSums<T>&, bool, const double*, T*, const Device&); \
  template void add_outer_products(const T*, std::int64_t, int, double*, Reusable<double>&,       \
                                   const Device&);                                                \
  template void add_column_sums(const T*, std::int64_t, std::int64_t, const double*, double*,     \
                                double*, Reusable<double>&, const Device&);
FASTRFM_INSTANTIATE(float)
FASTRFM_INSTANTIATE(double)
#undef FASTRFM_INSTANTIATE

}  // namespace fastrfm::cuda
