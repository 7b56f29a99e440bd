#include "kernel_matrix.hpp"

#include "kernel_matrix_pass.hpp"
#include "tile.cuh"

namespace fastrfm::cuda {
namespace {

template <class T>
struct MatrixPass {
  Metric<T> metric;
  PackedPoints<T> x, z;
  std::int64_t tile_columns;
  T* out;
};

// Tile number t of a lower triangle, row by row.
__device__ __forceinline__ void triangle_tile(std::int64_t t, std::int64_t& row,
                                              std::int64_t& column) {
  row = static_cast<std::int64_t>((sqrt(8.0 * static_cast<double>(t) + 1.0) - 1.0) / 2.0);
  while (row * (row + 1) / 2 > t) --row;  // the root may be off by a rounding
  while ((row + 1) * (row + 2) / 2 <= t) ++row;
  column = t - row * (row + 1) / 2;
}

// Rows of a tile to out[i * length + j]: 16 bytes a store where rows are aligned and whole.
template <Form F, class T, int TM, int TN>
__device__ __forceinline__ void store_rows(const T (&values)[TM][TN], T* out, std::int64_t i0,
                                           std::int64_t rows, std::int64_t j0,
                                           std::int64_t length) {
  using Seated = Seat<F, T, TM, TN>;
  constexpr int width = Seated::column_group;
  const Seated seat;
  const bool aligned =
      length % width == 0 && reinterpret_cast<std::uintptr_t>(out) % sizeof(Pack<T, width>) == 0;
#pragma unroll
  for (int r = 0; r < TM; ++r) {
    const std::int64_t i = i0 + seat.row(r);
    if (i >= rows) continue;
#pragma unroll
    for (int g = 0; g < TN; g += width) {
      const std::int64_t j = j0 + seat.column(g);
      T* to = out + i * length + j;
      if (aligned && j + width <= length) {
        Pack<T, width> pack;
#pragma unroll
        for (int e = 0; e < width; ++e) pack.at[e] = values[r][g + e];
        store_streaming(to, pack);
      } else {
#pragma unroll
        for (int e = 0; e < width; ++e)
          if (j + e < length) to[e] = values[r][g + e];
      }
    }
  }
}

// The same tile's mirror image, out[j * length + i]. Two neighbouring threads fill a 32-byte sector
// (of tensor cores' eight), and L2 gathers the sectors of a line, so no detour over shared memory.
template <Form F, class T, int TM, int TN>
__device__ __forceinline__ void store_columns(const T (&values)[TM][TN], T* out, std::int64_t i0,
                                              std::int64_t j0, std::int64_t length) {
  using Seated = Seat<F, T, TM, TN>;
  constexpr int width = Seated::row_group;
  const Seated seat;
  const bool aligned =
      length % width == 0 && reinterpret_cast<std::uintptr_t>(out) % sizeof(Pack<T, width>) == 0;
#pragma unroll
  for (int c = 0; c < TN; ++c) {
    const std::int64_t j = j0 + seat.column(c);
    if (j >= length) continue;
#pragma unroll
    for (int g = 0; g < TM; g += width) {
      const std::int64_t i = i0 + seat.row(g);
      T* to = out + j * length + i;
      if (aligned && i + width <= length) {
        Pack<T, width> pack;
#pragma unroll
        for (int e = 0; e < width; ++e) pack.at[e] = values[g + e][c];
        *reinterpret_cast<Pack<T, width>*>(to) = pack;
      } else {
#pragma unroll
        for (int e = 0; e < width; ++e)
          if (i + e < length) to[e] = values[g + e][c];
      }
    }
  }
}

// A tile on the diagonal: the lower half in its place and mirrored, so that K is symmetric to the
// last bit although a thread's trust in a pair hangs on its other pairs.
template <Form F, class T, int TM, int TN>
__device__ __forceinline__ void store_diagonal(const T (&values)[TM][TN], T* out, std::int64_t i0,
                                               std::int64_t length) {
  const Seat<F, T, TM, TN> seat;
#pragma unroll
  for (int r = 0; r < TM; ++r)
#pragma unroll
    for (int c = 0; c < TN; ++c) {
      const std::int64_t i = i0 + seat.row(r);
      const std::int64_t j = i0 + seat.column(c);
      if (i < j || i >= length) continue;
      out[i * length + j] = values[r][c];
      out[j * length + i] = values[r][c];
    }
}

template <class T, Form F>
__global__ void __launch_bounds__(kThreads, kBlocksEach<F>)
    full_kernel(const __grid_constant__ MatrixPass<T> pass) {
  constexpr int per = Shape<T>::per;
  __shared__ Stages<F, T, per, per> stages;
  const std::int64_t i0 = blockIdx.x / pass.tile_columns * Shape<T>::side;
  const std::int64_t j0 = blockIdx.x % pass.tile_columns * Shape<T>::side;
  T values[per][per];
  const Distrust<T> distrust =
      tile_values<F, false>(pass.metric, pass.x, i0, pass.z, j0, stages, values);
  store_rows<F>(values, pass.out, i0, pass.x.count, j0, pass.z.count);
  if (distrust.any)
    repair<F, false, per, per>(pass.metric, pass.x, i0, pass.z, j0, distrust,
                               Stored<T>{pass.out + i0 * pass.z.count + j0, pass.z.count});
}

template <class T, Form F, bool Mirror>
__global__ void __launch_bounds__(kThreads, kBlocksEach<F>)
    triangle_kernel(const __grid_constant__ MatrixPass<T> pass) {
  constexpr int per = Shape<T>::per;
  __shared__ Stages<F, T, per, per> stages;
  std::int64_t row = 0;
  std::int64_t column = 0;
  triangle_tile(blockIdx.x, row, column);
  const std::int64_t n = pass.x.count;
  const std::int64_t i0 = row * Shape<T>::side;
  const std::int64_t j0 = column * Shape<T>::side;
  T values[per][per];
  const Distrust<T> distrust =
      tile_values<F, false>(pass.metric, pass.x, i0, pass.x, j0, stages, values);
  const bool diagonal = row == column;
  if (diagonal) {
    store_diagonal<F>(values, pass.out, i0, n);
  } else {
    store_rows<F>(values, pass.out, i0, n, j0, n);
    if constexpr (Mirror) store_columns<F>(values, pass.out, i0, j0, n);
  }
  if (!distrust.any) return;
  T* at = pass.out + i0 * n + j0;
  T* mirror = diagonal ? at : pass.out + j0 * n + i0;
  repair<F, false, per, per>(pass.metric, pass.x, i0, pass.x, j0, distrust,
                             Stored<T>{at, n, Mirror || diagonal ? mirror : nullptr, diagonal});
}

template <class T, Form F>
__global__ void __launch_bounds__(kThreads, kBlocksEach<F>)
    weights_kernel(const __grid_constant__ Metric<T> metric,
                   const __grid_constant__ PackedPoints<T> x,
                   const __grid_constant__ PackedPoints<T> z,
                   const __grid_constant__ WeightChunk<T> chunk) {
  constexpr int per = Shape<T>::per;
  __shared__ Stages<F, T, per, per> stages;
  const std::int64_t tile_columns = chunk.columns / Shape<T>::side;
  const std::int64_t i0 = blockIdx.x / tile_columns * Shape<T>::side;
  const std::int64_t j0 = blockIdx.x % tile_columns * Shape<T>::side;
  T values[per][per];
  const Distrust<T> distrust =
      tile_values<F, true>(metric, x, chunk.row0 + i0, z, chunk.column0 + j0, stages, values);
  store_rows<F>(values, chunk.weights, i0, chunk.rows, j0, chunk.columns);
  if (distrust.any)
    repair<F, true, per, per>(
        metric, x, chunk.row0 + i0, z, chunk.column0 + j0, distrust,
        Stored<T>{chunk.weights + i0 * chunk.columns + j0, chunk.columns, nullptr, false, true});
  const int any = __syncthreads_or(distrust.any ? 1 : 0);
  if (threadIdx.x == 0) chunk.flags[blockIdx.x] = any;
}

template <class T, Form F>
void launch_form(Target target, const MatrixPass<T>& pass, const Device& device) {
  const std::int64_t rows = ceil_div(pass.x.count, Shape<T>::side);
  switch (target) {
    case Target::full:
      launch("kernel_matrix", full_kernel<T, F>, rows * pass.tile_columns, device, pass);
      break;
    case Target::symmetric:
      launch("kernel_matrix", triangle_kernel<T, F, true>, rows * (rows + 1) / 2, device, pass);
      break;
    case Target::triangle:
      launch("kernel_matrix", triangle_kernel<T, F, false>, rows * (rows + 1) / 2, device, pass);
      break;
  }
}

template <class T>
void symmetric(Target target, const KernelMatrixArgs<T>& args, const Device& device) {
  const Metric<T> metric = make_metric<T>(args.kernel, args.root, args.x.features, device);
  const PackedPoints<T> x = pack_points<T>(args.x, metric, central_point(args.x, device), device);
  launch_kernel_matrix(target, metric, x, x, args.out, device);
}

}  // namespace

template <class T>
void launch_kernel_matrix(Target target, const Metric<T>& metric, const PackedPoints<T>& x,
                          const PackedPoints<T>& z, T* out, const Device& device) {
  const MatrixPass<T> pass{metric, x, z, ceil_div(z.count, Shape<T>::side), out};
  with_form(metric, 0,
            [&](auto form) { launch_form<T, decltype(form)::value>(target, pass, device); });
}

template <class T>
void launch_weight_chunk(const Metric<T>& metric, const PackedPoints<T>& x,
                         const PackedPoints<T>& z, const WeightChunk<T>& chunk,
                         const Device& device) {
  const std::int64_t tiles = chunk.rows / Shape<T>::side * (chunk.columns / Shape<T>::side);
  with_form(metric, 0, [&](auto form) {
    launch("weights", weights_kernel<T, decltype(form)::value>, tiles, device, metric, x, z, chunk);
  });
}

template <class T>
void kernel_matrix(const KernelMatrixArgs<T>& args, const Device& device) {
  const Metric<T> metric = make_metric<T>(args.kernel, args.root, args.x.features, device);
  const double* centre = central_point(args.z, device);
  const PackedPoints<T> x = pack_points<T>(args.x, metric, centre, device);
  const PackedPoints<T> z = pack_points<T>(args.z, metric, centre, device);
  launch_kernel_matrix(Target::full, metric, x, z, args.out, device);
}

template <class T>
void kernel_matrix_symmetric(const KernelMatrixArgs<T>& args, const Device& device) {
  symmetric(Target::symmetric, args, device);
}

template <class T>
void kernel_matrix_triangle(const KernelMatrixArgs<T>& args, const Device& device) {
  symmetric(Target::triangle, args, device);
}

template void launch_kernel_matrix(Target, const Metric<float>&, const PackedPoints<float>&,
                                   const PackedPoints<float>&, float*, const Device&);
template void launch_kernel_matrix(Target, const Metric<double>&, const PackedPoints<double>&,
                                   const PackedPoints<double>&, double*, const Device&);
template void launch_weight_chunk(const Metric<float>&, const PackedPoints<float>&,
                                  const PackedPoints<float>&, const WeightChunk<float>&,
                                  const Device&);
template void launch_weight_chunk(const Metric<double>&, const PackedPoints<double>&,
                                  const PackedPoints<double>&, const WeightChunk<double>&,
                                  const Device&);
template void kernel_matrix(const KernelMatrixArgs<float>&, const Device&);
template void kernel_matrix(const KernelMatrixArgs<double>&, const Device&);
template void kernel_matrix_symmetric(const KernelMatrixArgs<float>&, const Device&);
template void kernel_matrix_symmetric(const KernelMatrixArgs<double>&, const Device&);
template void kernel_matrix_triangle(const KernelMatrixArgs<float>&, const Device&);
template void kernel_matrix_triangle(const KernelMatrixArgs<double>&, const Device&);

}  // namespace fastrfm::cuda
