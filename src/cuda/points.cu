#include "points.hpp"

#include "../cpp/common/far_points.hpp"
#include "../cpp/common/laplace.hpp"
#include "primitives.cuh"

namespace fastrfm::cuda {
namespace {

constexpr double kMost = 1.7976931348623157e308;

// Coordinates that one thread transforms: a 32-byte sector of float32 input.
constexpr int kCoordinatesEach = 8;
// The product with a full root: a block makes 64 points x 64 coordinates, 16 features at a time.
constexpr int kProductTile = 64;
constexpr int kProductStep = 16;

// One block a feature, one thread a row: the row of rank rows / 2 is the median.
__global__ void median_kernel(Source points, std::int64_t rows, double* centre) {
  __shared__ double values[kCentralRows];
  const std::int64_t feature = blockIdx.x;
  const int r = static_cast<int>(threadIdx.x);
  if (r < rows) values[r] = points.at(r * points.rows / rows, feature);
  __syncthreads();
  if (r >= rows) return;
  const double own = values[r];
  int rank = 0;
  for (int other = 0; other < rows; ++other)
    rank += values[other] < own || (values[other] == own && other < r) ? 1 : 0;
  if (rank == rows / 2) centre[feature] = own;
}

// Transform's constructor: see there for the formulas.
template <class T>
__global__ void factors_kernel(Law<T> law, Root root, int depth, double* factors, T* weights,
                               double* gradients) {
  const std::int64_t k = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (k >= depth) return;
  if (root.kind == Root::Kind::full) {
    weights[k] = T(1);
    gradients[k] = law.gradient_factor;
    return;
  }
  const double a = root.kind == Root::Kind::diagonal ? root.data[k] : 1.0;
  const auto p = static_cast<double>(law.norm_power);
  const double weight = law.weight_factor * pow(a, p);
  factors[k] = law.scale * a;
  weights[k] = law.plain ? static_cast<T>(weight) : T(1);
  gradients[k] = law.gradient_factor * (law.plain ? weight : a);
}

// A feature of a row before the transform.
template <class T>
__device__ __forceinline__ double scaled_feature(const Metric<T>& metric, const double* centre,
                                                 const Source& points, std::int64_t row,
                                                 std::int64_t feature) {
  const double value = points.at(row, feature);
  if (metric.law.plain) return value * metric.law.scale;
  return (value - centre[feature]) *
         (metric.root.kind == Root::Kind::full ? metric.law.scale : metric.factors[feature]);
}

// Rows beyond kFarthest are drawn in as a whole: their factor, 1 for all others. A warp a row.
template <class T>
__global__ void draw_in_kernel(Metric<T> metric, Source points, const double* centre,
                               double* draw_in) {
  const std::int64_t row = std::int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32;
  const unsigned lane = threadIdx.x % 32;
  double largest = 0.0;
  if (row < points.rows)
    for (std::int64_t k = lane; k < metric.features; k += 32)
      largest = fmax(largest, fabs(scaled_feature(metric, centre, points, row, k)));
  for (int step = 16; step > 0; step /= 2)
    largest = fmax(largest, __shfl_xor_sync(0xffffffffU, largest, step));
  if (row < points.rows && lane == 0)
    draw_in[row] = largest > kFarthest<T> ? kFarthest<T> / fmin(largest, kMost) : 1.0;
}

template <class T>
__device__ __forceinline__ double drawn_feature(const Metric<T>& metric, const double* centre,
                                                const Source& points, std::int64_t row,
                                                std::int64_t feature, double draw_in) {
  const double v = scaled_feature(metric, centre, points, row, feature);
  return draw_in == 1.0 ? v : fmin(fmax(v, -kMost), kMost) * draw_in;
}

template <class T>
__device__ __forceinline__ void put(double v, std::int64_t at, T* coordinates, T* rest) {
  const T rounded = static_cast<T>(v);
  coordinates[at] = rounded;
  if (rest != nullptr) rest[at] = static_cast<T>(v - static_cast<double>(rounded));
}

// Identity and diagonal roots: a thread makes a few coordinates of one point.
template <class T>
__global__ void scale_kernel(Metric<T> metric, Source points, const double* centre,
                             const double* draw_in, std::int64_t stride, std::int64_t point_blocks,
                             T* coordinates, T* rest) {
  const std::int64_t i = blockIdx.x % point_blocks * kThreads + threadIdx.x;
  const std::int64_t first = blockIdx.x / point_blocks * kCoordinatesEach;
  if (i >= stride) return;
  for (std::int64_t k = first; k < first + kCoordinatesEach && k < metric.depth; ++k) {
    const double v =
        i < points.rows ? drawn_feature(metric, centre, points, i, k, draw_in[i]) : 0.0;
    put(v, k * stride + i, coordinates, rest);
  }
}

// A full root: x~ = A^T x as a product of tiles, in double, since features that nearly cancel in
// x~ would leave nothing of it in float.
template <class T>
__global__ void product_kernel(Metric<T> metric, Source points, const double* centre,
                               const double* draw_in, std::int64_t stride,
                               std::int64_t point_blocks, T* coordinates, T* rest) {
  __shared__ double xs[kProductStep][kProductTile + 1];
  __shared__ double roots[kProductStep][kProductTile];
  const std::int64_t i0 = blockIdx.x % point_blocks * kProductTile;
  const std::int64_t k0 = blockIdx.x / point_blocks * kProductTile;
  const int tx = static_cast<int>(threadIdx.x) % kSide;
  const int ty = static_cast<int>(threadIdx.x) / kSide;
  double sums[4][4] = {};
  for (std::int64_t f0 = 0; f0 < metric.features; f0 += kProductStep) {
    for (int e = static_cast<int>(threadIdx.x); e < kProductStep * kProductTile; e += kThreads) {
      const int f = e % kProductStep;  // features of a row lie side by side
      const int point = e / kProductStep;
      const std::int64_t i = i0 + point;
      xs[f][point] = i < points.rows && f0 + f < metric.features
                         ? drawn_feature(metric, centre, points, i, f0 + f, draw_in[i])
                         : 0.0;
    }
    for (int e = static_cast<int>(threadIdx.x); e < kProductStep * kProductTile; e += kThreads) {
      const int k = e % kProductTile;
      const int f = e / kProductTile;
      roots[f][k] = f0 + f < metric.features && k0 + k < metric.depth
                        ? metric.root.data[(f0 + f) * metric.depth + k0 + k]
                        : 0.0;
    }
    __syncthreads();
    for (int f = 0; f < kProductStep; ++f) {
      double x[4];
      double a[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        x[e] = xs[f][tx + kSide * e];
        a[e] = roots[f][ty + kSide * e];
      }
#pragma unroll
      for (int r = 0; r < 4; ++r)
#pragma unroll
        for (int c = 0; c < 4; ++c) sums[r][c] = fma(a[r], x[c], sums[r][c]);
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const std::int64_t k = k0 + ty + kSide * r;
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const std::int64_t i = i0 + tx + kSide * c;
      if (k < metric.depth && i < stride) put(sums[r][c], k * stride + i, coordinates, rest);
    }
  }
}

// Sizes of points, against which the rounding error of a distance is judged; zero for plain
// coordinates, whose differences have none.
template <class T>
__global__ void sizes_kernel(Metric<T> metric, const T* coordinates, std::int64_t stride,
                             T* sizes) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= stride) return;
  const auto p = static_cast<double>(metric.law.norm_power);
  double sum = 0.0;
  const int depth = metric.law.plain ? 0 : metric.depth;
  for (int k = 0; k < depth; ++k) {
    const auto v = static_cast<double>(coordinates[k * stride + i]);
    if (metric.law.norm == Norm::general)
      sum += coordinate_distance<Norm::general>(v, p);
    else if (metric.law.norm == Norm::one)
      sum += coordinate_distance<Norm::one>(v, p);
    else
      sum += coordinate_distance<Norm::two>(v, p);
  }
  sizes[i] = static_cast<T>(sum);
}

// A 32 x 32 tile through shared memory, so that reads and writes are both coalesced.
template <class T>
__global__ void columns_kernel(const T* matrix, std::int64_t rows, std::int64_t columns,
                               std::int64_t stride, std::int64_t row_blocks, T* out) {
  __shared__ T tile[32][33];
  const std::int64_t i0 = blockIdx.x % row_blocks * 32;
  const std::int64_t l0 = blockIdx.x / row_blocks * 32;
  const int x = static_cast<int>(threadIdx.x) % 32;
  const int y = static_cast<int>(threadIdx.x) / 32;
  for (int r = y; r < 32; r += kThreads / 32)
    tile[r][x] = i0 + r < rows && l0 + x < columns ? matrix[(i0 + r) * columns + l0 + x] : T(0);
  __syncthreads();
  for (int r = y; r < 32; r += kThreads / 32)
    if (l0 + r < columns && i0 + x < stride) out[(l0 + r) * stride + i0 + x] = tile[x][r];
}

}  // namespace

template <class T>
Metric<T> make_metric(const KernelParams& kernel, const Root& root, std::int64_t features,
                      const Device& device) {
  const bool full = root.kind == Root::Kind::full;
  const Law<T> law(kernel, full, features <= kDirectCoordinates);
  const auto depth = static_cast<int>(root.coordinates(features));
  auto* factors = device.array<double>(full ? 0 : depth);
  auto* weights = device.array<T>(depth);
  auto* gradients = device.array<double>(depth);
  launch("metric", factors_kernel<T>, ceil_div(depth, kThreads), device, law, root, depth, factors,
         weights, gradients);
  return {law, root, features, depth, sizeof(T) == 4 && !law.plain, weights, factors, gradients};
}

const double* central_point(const Source& points, const Device& device) {
  auto* centre = device.array<double>(points.features);
  const std::int64_t rows = points.rows < kCentralRows ? points.rows : kCentralRows;
  launch("central point", median_kernel, points.features, device, points, rows, centre);
  return centre;
}

template <class T>
PackedPoints<T> pack_points(const Source& points, const Metric<T>& metric, const double* centre,
                            const Device& device) {
  const std::int64_t stride = round_up(points.rows, kPointPadding);
  auto* coordinates = device.array<T>(stride * metric.depth);
  T* rest = metric.has_rest ? device.array<T>(stride * metric.depth) : nullptr;
  auto* sizes = device.array<T>(stride);
  auto* draw_in = device.array<double>(points.rows);
  launch("pack points", draw_in_kernel<T>, ceil_div(points.rows, kThreads / 32), device, metric,
         points, centre, draw_in);
  if (metric.root.kind == Root::Kind::full) {
    const std::int64_t blocks = ceil_div(stride, kProductTile);
    launch("pack points", product_kernel<T>, blocks * ceil_div(metric.depth, kProductTile), device,
           metric, points, centre, draw_in, stride, blocks, coordinates, rest);
  } else {
    const std::int64_t blocks = ceil_div(stride, kThreads);
    launch("pack points", scale_kernel<T>, blocks * ceil_div(metric.depth, kCoordinatesEach),
           device, metric, points, centre, draw_in, stride, blocks, coordinates, rest);
  }
  launch("pack points", sizes_kernel<T>, ceil_div(stride, kThreads), device, metric, coordinates,
         stride, sizes);
  return {points, points.rows, stride, coordinates, rest, sizes};
}

template <class T>
const T* pack_columns(const T* matrix, std::int64_t rows, std::int64_t columns, std::int64_t stride,
                      const Device& device) {
  auto* out = device.array<T>(stride * columns);
  const std::int64_t blocks = ceil_div(stride, 32);
  launch("pack columns", columns_kernel<T>, blocks * ceil_div(columns, 32), device, matrix, rows,
         columns, stride, blocks, out);
  return out;
}

template Metric<float> make_metric(const KernelParams&, const Root&, std::int64_t, const Device&);
template Metric<double> make_metric(const KernelParams&, const Root&, std::int64_t, const Device&);
template PackedPoints<float> pack_points(const Source&, const Metric<float>&, const double*,
                                         const Device&);
template PackedPoints<double> pack_points(const Source&, const Metric<double>&, const double*,
                                          const Device&);
template const float* pack_columns(const float*, std::int64_t, std::int64_t, std::int64_t,
                                   const Device&);
template const double* pack_columns(const double*, std::int64_t, std::int64_t, std::int64_t,
                                    const Device&);

}  // namespace fastrfm::cuda
