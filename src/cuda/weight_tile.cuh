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

// A line a centre. All lines begin at the same bank, so 16-byte pieces of a line change places by the
// line's number (swizzle), which leaves reads along a line what they are, and spreads over all banks
// what a warp does at once across lines: stores of four points each of 8 centres that are 4 apart;
// tensor cores' stores of 8 points of 4 centres 2 apart, and their reads of those of 4 neighbours.
template <class T>
struct alignas(16) WeightTile {
  T lines[kCentres][Shape<T>::side];

  static __device__ __forceinline__ int swizzle(int centre) {
    if constexpr (sizeof(T) == 8) return centre / 2 % 8 * 2;
    const int bits = centre ^ (centre >> 2);
    return (bits & 1) << 3 | (bits & 2) << 3 | (centre & 16) >> 2;
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

template <Form F, class T>
using WeightStages = Stages<F, T, Shape<T>::per, kCentres / kSide>;

// Computes the tile of points i0 .. and centres j0 ..; whether any pair had to be repaired. Begins
// after a barrier that follows the tile's last use, ends with one.
template <Form F, bool Gradient, class T>
__device__ __forceinline__ bool compute_weights(const Metric<T>& metric, const PackedPoints<T>& x,
                                                std::int64_t i0, const PackedPoints<T>& z,
                                                std::int64_t j0, WeightStages<F, T>& stages,
                                                WeightTile<T>& weights) {
  constexpr int rows = Shape<T>::per;
  constexpr int columns = kCentres / kSide;
  using Seated = Seat<F, T, rows, columns>;
  const Seated seat;
  T values[rows][columns];
  const Distrust<T> distrust = tile_values<F, Gradient>(metric, x, i0, z, j0, stages, values);
  if constexpr (F == Form::tensor) {
    // The swizzle is linear in the bits of a centre, so that eight addresses and constants are all:
    // the compiler, which does not see that, would keep 32 of them and spill.
    const int first = seat.first_row ^ WeightTile<T>::swizzle(seat.first_column);
#pragma unroll
    for (int c = 0; c < columns; ++c)
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        const int centre = Seated::column_offset(c);
        const int point = first ^ (Seated::row_offset(r) ^ WeightTile<T>::swizzle(centre));
        weights.lines[seat.first_column + centre][point] = values[r][c];
      }
  } else {
    constexpr int width = Seated::row_group;
#pragma unroll
    for (int c = 0; c < columns; ++c)
#pragma unroll
      for (int g = 0; g < rows; g += width) {
        Pack<T, width> pack;
#pragma unroll
        for (int e = 0; e < width; ++e) pack.at[e] = values[g + e][c];
        *reinterpret_cast<Pack<T, width>*>(&weights.of(seat.column(c), seat.row(g))) = pack;
      }
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
                                             std::int64_t j0, WeightStages<F, T>& stages,
                                             WeightTile<T>& weights) {
  if constexpr (O == Origin::chunk)
    return fetch_weights(pass.chunk, i0, j0, weights);
  else
    return compute_weights<F, O == Origin::gradient>(pass.sums.metric, pass.sums.x, i0, pass.sums.z,
                                                     j0, stages, weights);
}

}  // namespace fastrfm::cuda
