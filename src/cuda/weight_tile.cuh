// A block's tile of K or of gradient weights in shared memory, centre by centre.
#pragma once

#include "kernel_matrix_pass.hpp"
#include "tile.cuh"
#include "weighted_sums.hpp"

namespace fastrfm::cuda {

// Where a block's tile of weights comes from.
enum class Origin { kernel, gradient, chunk };

inline constexpr int kCentres = 64;  // columns of a tile of weights: 32 KiB of shared memory
template <class T>
struct Slab {
  // Products: all columns in one row. Differences: coordinates of two outputs.
  static constexpr int columns = Shape<T>::side;
  static constexpr int coordinates = kSide * 4;
  static constexpr int outputs = 2;
  static constexpr int step = 8;  // centres a stage of products
  static constexpr int difference_step = kThreads / coordinates * Shape<T>::width;
};

template <class T>
struct SumsPass {
  WeightedSums<T> sums;
  std::int64_t tiles;      // of rows, in this launch
  std::int64_t part_rows;  // of a part of `sums`
  std::int64_t slabs;      // of columns
  std::int64_t begin;      // centres of this launch
  std::int64_t end;        // a multiple of kCentres
  std::int64_t per_part;   // a multiple of kCentres
  int per_output;
  WeightChunk<T> chunk;  // Origin::chunk; its rows are centres, its columns points
};

// The block's place in the pass.
template <class T>
struct Place {
  std::int64_t tile, slab, part;
  std::int64_t i0;  // in x
  const T* coef;
  T* sums;  // of the tile's first row

  __device__ __forceinline__ explicit Place(const SumsPass<T>& pass) {
    tile = blockIdx.x % pass.tiles;
    slab = blockIdx.x / pass.tiles % pass.slabs;
    part = blockIdx.x / pass.tiles / pass.slabs;
    const std::int64_t row = tile * Shape<T>::side;
    const std::int64_t columns = pass.sums.outputs * pass.per_output;
    i0 = pass.sums.first_row + row;
    coef =
        pass.sums.coef + (i0 / Shape<T>::side - pass.sums.coef_tile) * pass.sums.coef_tile_stride;
    sums = pass.sums.sums + (part * pass.part_rows + row) * columns;
  }
};

// A line a centre. Threads store a few neighbouring points of 16 centres each at a time, and all lines
// begin at the same bank: so 16-byte pieces of a line change places by the line's number (swizzle),
// which spreads those stores over all banks and leaves reads along a line what they were.
template <class T>
struct alignas(16) WeightTile {
  T lines[kCentres][Shape<T>::side];

  static __device__ __forceinline__ int swizzle(int centre) {
    return centre / Shape<T>::width % 8 * Shape<T>::width;
  }
  __device__ __forceinline__ T& of(int centre, int point) {
    return lines[centre][point ^ swizzle(centre)];
  }
  // The points of thread t.
  template <int N>
  __device__ __forceinline__ void load(int centre, int t, T (&to)[N]) const {
    load_places(&lines[centre][0], t, to, swizzle(centre));
  }
};

// Where `repair` finds the tile's values. Pairs with a centre beyond the last become zero: where a
// point is so far that its size is infinite they are no numbers, and times a coefficient of zero too.
template <class T>
struct StoredWeights {
  WeightTile<T>& tile;

  __device__ __forceinline__ bool skips(int, int) const { return false; }
  __device__ __forceinline__ T get(int i, int j) const { return tile.of(j, i); }
  __device__ __forceinline__ void put(int i, int j, T value) const { tile.of(j, i) = value; }
  __device__ __forceinline__ void put_beyond(int i, int j) const { put(i, j, T(0)); }
};

template <class T>
using WeightStages = Stages<T, Shape<T>::per, kCentres / kSide>;

// Computes the tile of points i0 .. and centres j0 ..; whether any pair had to be repaired. Begins
// after a barrier that follows the tile's last use, ends with one.
template <Form F, bool Gradient, class T>
__device__ __forceinline__ bool compute_weights(const Metric<T>& metric, const PackedPoints<T>& x,
                                                std::int64_t i0, const PackedPoints<T>& z,
                                                std::int64_t j0, WeightStages<T>& stages,
                                                WeightTile<T>& weights) {
  constexpr int width = Shape<T>::width;
  constexpr int rows = Shape<T>::per;
  constexpr int columns = kCentres / kSide;
  const int ty = static_cast<int>(threadIdx.x) / kSide;
  const int tx = static_cast<int>(threadIdx.x) % kSide;
  T values[rows][columns];
  const Distrust<T> distrust = tile_values<F, Gradient>(metric, x, i0, z, j0, stages, values);
#pragma unroll
  for (int c = 0; c < columns; ++c)
#pragma unroll
    for (int g = 0; g < rows; g += width) {
      Pack<T> pack;
#pragma unroll
      for (int e = 0; e < width; ++e) pack.at[e] = values[g + e][c];
      *reinterpret_cast<Pack<T>*>(&weights.of(place<T>(tx, c), place<T>(ty, g))) = pack;
    }
  if (distrust.any)
    repair<F, Gradient, rows, columns>(metric, x, i0, z, j0, distrust, StoredWeights<T>{weights});
  return __syncthreads_or(distrust.any ? 1 : 0) != 0;
}

// Fetches the tile from a chunk of weights computed before; the same otherwise.
template <class T>
__device__ __forceinline__ bool fetch_weights(const WeightChunk<T>& chunk, std::int64_t i0,
                                              std::int64_t j0, WeightTile<T>& weights) {
  constexpr int width = Shape<T>::width;
  constexpr int pieces = Shape<T>::side / width;
  const T* from = chunk.weights + (j0 - chunk.row0) * chunk.columns + (i0 - chunk.column0);
  for (int e = static_cast<int>(threadIdx.x); e < kCentres * pieces; e += kThreads)
    copy_async(&weights.of(e / pieces, e % pieces * width),
               from + e / pieces * chunk.columns + e % pieces * width);
  commit_copies();
  wait_copies<0>();
  const std::int64_t tile_columns = chunk.columns / Shape<T>::side;
  const bool any = chunk.flags[(j0 - chunk.row0) / Shape<T>::side * tile_columns +
                               (i0 - chunk.column0) / Shape<T>::side] != 0;
  __syncthreads();
  return any;
}

template <Form F, Origin O, class T>
__device__ __forceinline__ bool make_weights(const SumsPass<T>& pass, std::int64_t i0,
                                             std::int64_t j0, WeightStages<T>& stages,
                                             WeightTile<T>& weights) {
  if constexpr (O == Origin::chunk)
    return fetch_weights(pass.chunk, i0, j0, weights);
  else
    return compute_weights<F, O == Origin::gradient>(pass.sums.metric, pass.sums.x, i0, pass.sums.z,
                                                     j0, stages, weights);
}

}  // namespace fastrfm::cuda
