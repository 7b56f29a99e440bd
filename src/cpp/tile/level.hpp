// The table of tile functions that each instruction-set level provides, and the arguments of one
// tile. Ops call through this table, so they are compiled once, for any machine.
//
// Packed forms. A "row panel" holds kTileRows points, a "lane panel" `lanes` points, both
// coordinate by coordinate: panel[k * width + point]. Points beyond the last are zeros with a size
// that keeps them away from every special case (tile/panels.hpp).
#pragma once

#include <cstdint>

#include "../common/params.hpp"

namespace fastrfm {

template <class T>
struct TileArgs {
  const T* rows;                // row panel, depth x tile_rows
  const T* lanes;               // lane panel, depth x lanes
  const T* rows_rest;           // what rounding left of the row panel's coordinates, or null
  const T* lanes_rest;          // likewise
  const T* row_sizes;           // of each row, tile_rows of them (tile/panels.hpp)
  const T* lane_sizes;          // likewise, lanes of them
  T largest_size;               // of a row and a lane together, at least
  std::int64_t depth;           // coordinates
  const T* coordinate_weights;  // p != 2: S = sum_k weight_k |u_k|^p; depth of them
  T* out;                       // tile_rows x lanes, `stride` apart
  std::int64_t stride;

  // Called for a pair whose rows nearly coincide; returns its exact S (common/params.hpp).
  T (*touch)(void* context, int row, int lane);
  void* context;

  // Gradient tiles for p = 2 only: pairs close enough for x S - T to cancel get weight zero in
  // `out` and their weight here (same shape and stride); near_rows[row] says where there are any.
  T* near_out;
  unsigned char* near_rows;
};

template <class T>
struct Level {
  int tile_rows;  // points of a row panel
  int lanes;      // points of a lane panel

  using Tile = void (*)(const TileArgs<T>&, const Law<T>&);
  Tile values[kNorms][kRadials];   // out = K
  Tile weights[kNorms][kRadials];  // out = omega

  // c[r * c_stride + lane] += sum_j a[j * a_stride + r] * b[j * lanes + lane], r < rows. The sum
  // over j starts from zero, so blocks of j add up like a two-level sum.
  using Accumulate = void (*)(const T* a, std::int64_t a_stride, const T* b, std::int64_t depth,
                              T* c, std::int64_t c_stride);
  static constexpr int kMaxTileRows = 12;
  Accumulate accumulate[kMaxTileRows + 1];  // by rows, 1 .. tile_rows

  // out[j * lanes + lane] = weights[j * lanes + lane] * factors[j * factor_stride]
  void (*scale_rows)(const T* weights, const T* factors, std::int64_t factor_stride,
                     std::int64_t rows, T* out);
  // out[j * tile_rows + k] = columns[j * tile_rows + k] * factors[j * factor_stride]
  void (*scale_columns)(const T* columns, const T* factors, std::int64_t factor_stride,
                        std::int64_t points, T* out);

  // c[(l * c_output_stride) + k * lanes + lane] += sum_j w_l[j * lanes + lane]
  //   phi(x[k * lanes + lane] - z[j * z_stride + k]),  k < coordinates, l < outputs
  struct DifferenceArgs {
    const T* z;
    std::int64_t z_stride;
    const T* x;
    const T* weights;  // outputs x `weight_stride`
    std::int64_t weight_stride;
    std::int64_t depth;  // points j
    int coordinates;     // at most tile_rows
    int outputs;
    T* c;
    std::int64_t c_output_stride;
  };
  void (*differences[kNorms])(const DifferenceArgs&, const Law<T>&);

  // c[k * lanes + lane] -= factor * weights[lane] (x[k * lanes + lane] - z[k * z_stride]), the rests
  // of x and z included where there are any (both null or none).
  struct NearArgs {
    const T* z;
    const T* z_rest;
    std::int64_t z_stride;
    const T* x;
    const T* x_rest;
    const T* weights;
    T factor;
    std::int64_t depth;
    T* c;
  };
  void (*near_gradient)(const NearArgs& args);

  // Rows of a symmetric matrix off its diagonal, for one vector v and its product: with i < count rows
  // and j < length columns, sums_of_columns[j] += sum_i rows[i][j] v_of_rows[i] and
  // sums_of_rows[i] += sum_j rows[i][j] v_of_columns[j].
  using SymmetricRows = void (*)(const T* const* rows, std::int64_t length, const T* v_of_columns,
                                 const T* v_of_rows, T* sums_of_columns, T* sums_of_rows);
  static constexpr int kSymmetricRows = 8;
  SymmetricRows symmetric_rows[kSymmetricRows + 1];  // by count, 1 .. 8

  // Sums in double over `count` rows, `stride` apart, of `length` entries each:
  // sums[i] = sum_k rows[i * stride + k] v[k], and sums[k] += sum_i factors[i] rows[i * stride + k].
  void (*row_dots)(const T* rows, std::int64_t stride, int count, std::int64_t length,
                   const double* v, double* sums);
  void (*add_rows)(const T* rows, std::int64_t stride, int count, std::int64_t length,
                   const double* factors, double* sums);

  // dst[0 .. count) = src, past the caches where the level can and the block is long enough.
  void (*copy_out)(T* dst, const T* src, std::int64_t count);
  void (*copy_fence)();
  // dst[c * dst_stride + r] = src[r * src_stride + c], r, c < transpose_width.
  int transpose_width;
  void (*transpose)(const T* src, std::int64_t src_stride, T* dst, std::int64_t dst_stride);
};

// The level in use (simd/dispatch.cpp).
template <class T>
const Level<T>& level();

}  // namespace fastrfm
