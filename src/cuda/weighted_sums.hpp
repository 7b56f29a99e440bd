// The pass of kernel_matmul and the gradient ops: a tile of K or of gradient weights after the other
// in shared memory, each used at once in a second product with the columns of the centres, whose sums
// stay in registers. Nothing of size n x m is stored.
//
//   sums[i, q] += sum_j F(x_i, z_j) column_q(j)
//
//   K V:                   q = l,              column = V[j, l]
//   gradients, p = 2:      q = l (k + 1) + kk, column = coef[j, l] z_j[kk], or coef[j, l] for kk = k
//   gradients, other p:    q = l k + kk,       sum_j omega coef[j, l] phi(x_i[kk] - z_j[kk])
//
// Which is x S - T for p = 2, as on the CPU (src/cpp/tile/gradient_tile.hpp), pairs too close for
// that subtraction being left out of the products and added by their differences.
#pragma once

#include <cstdint>

#include "points.hpp"

namespace fastrfm::cuda {

enum class Weighing { kernel, gradient };

template <class T>
struct WeightedSums {
  Metric<T> metric;
  PackedPoints<T> x, z;
  Weighing weighing;
  const T* coef;  // [output][centre], z.stride apart, zeros beyond the last centre
  // From one row tile's coefficients to the next one's, if each has its own (0: all the same), and
  // the tile, counted from row 0, that those at `coef` are of.
  std::int64_t coef_tile_stride;
  std::int64_t coef_tile;
  std::int64_t outputs;
  std::int64_t first_row;  // of x; a multiple of a tile's side
  std::int64_t rows;       // from there; padded to a multiple of it in `sums`
  // [part][row][column]. Centres are divided into parts, which depend on the shapes alone, so that
  // few rows still fill the device.
  T* sums;
  std::int64_t parts;

  int per_output() const {
    if (weighing == Weighing::kernel) return 1;
    return metric.law.norm == Norm::two ? metric.depth + 1 : metric.depth;
  }
  std::int64_t columns() const { return outputs * per_output(); }
};

// Parts that a pass over so many rows at a time should have; reads its points and columns.
template <class T>
std::int64_t parts_for(const WeightedSums<T>& pass, std::int64_t rows);

// The rows of a chunk whose `sums` take about `bytes`, a multiple of a tile's side.
template <class T>
std::int64_t rows_per_chunk(const WeightedSums<T>& pass, std::int64_t bytes);

// Points that share their coefficients under coef_tile_stride.
template <class T>
std::int64_t tile_rows();

// Room for a chunk of weights, should there be any.
template <class T>
struct WeightRoom {
  Reusable<T> weights;
  Reusable<int> flags;
};

// sums = the sums over all centres. Chooses between tiles of weights in shared memory alone and, for
// so many columns that every tile would be computed too often, chunks of weights of 4096 x 4096.
template <class T>
void launch_weighted_sums(const WeightedSums<T>& pass, WeightRoom<T>& room, const Device& device);

}  // namespace fastrfm::cuda
