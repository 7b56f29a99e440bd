// One tile of kernel values or gradient weights in a block's registers: mirrors src/cpp/tile/tiles.hpp.
//
// A thread holds TM rows and TN columns of the tile, and every pair of these; `Seat` says which.
//
// Coordinates come through two stages of shared memory by asynchronous copies: one is read while the
// other is filled.
#pragma once

#include <cmath>

#include "../cpp/common/laplace.hpp"
#include "form.hpp"
#include "mma.cuh"
#include "points.hpp"
#include "primitives.cuh"

namespace fastrfm::cuda {

// Blocks that share an SM, for __launch_bounds__: two hide each other's waits in 128 registers a
// thread. The power of general p takes more registers, and time enough of its own.
template <Form F>
inline constexpr int kBlocksEach = F == Form::general ? 1 : 2;

template <class T>
struct Shape {
  static constexpr int width = Vector<T>::width;
  static constexpr int per = sizeof(T) == 4 ? 8 : 4;   // rows and columns of a thread
  static constexpr int side = kSide * per;             // of a square tile: 128 or 64
  static constexpr int step = sizeof(T) == 4 ? 8 : 4;  // coordinates a stage
};
static_assert(kPointPadding % Shape<float>::side == 0 && kPointPadding % Shape<double>::side == 0);

template <class T>
__device__ __forceinline__ int place(int t, int r) {
  constexpr int width = Shape<T>::width;
  return r / width * (kSide * width) + t * width + r % width;
}

// The rows and columns of a thread in a tile of 16 TM by 16 TN. A block's threads stand 16 by 16 over
// it, thread (ty, tx) with groups of 16 bytes that lie 16 groups apart: so the threads of a warp
// read whole lines of shared memory, without bank conflicts, and write whole lines of K.
template <Form F, class T, int TM, int TN>
struct Seat {
  static constexpr int row_group = Shape<T>::width;  // so many of a thread's rows are neighbours
  static constexpr int column_group = Shape<T>::width;
  int ty = static_cast<int>(threadIdx.x) / kSide;
  int tx = static_cast<int>(threadIdx.x) % kSide;

  __device__ __forceinline__ int row(int r) const { return place<T>(ty, r); }
  __device__ __forceinline__ int column(int c) const { return place<T>(tx, c); }
};

// As the instruction has it: mma.cuh.
template <class T, int TM, int TN>
struct Seat<Form::tensor, T, TM, TN> {
  static constexpr int row_group = 1;
  static constexpr int column_group = 2;
  // Sums of powers of two that the offsets of r and c have none of.
  int first_row =
      static_cast<int>(threadIdx.x) / 128 * (8 * TM) + static_cast<int>(threadIdx.x) % 32 / 4;
  int first_column =
      static_cast<int>(threadIdx.x) / 32 % 4 * (4 * TN) + static_cast<int>(threadIdx.x) % 4 * 2;

  static __device__ __forceinline__ int row_offset(int r) { return r / 2 * 16 + r % 2 * 8; }
  static __device__ __forceinline__ int column_offset(int c) { return c / 2 * 8 + c % 2; }
  __device__ __forceinline__ int row(int r) const { return first_row + row_offset(r); }
  __device__ __forceinline__ int column(int c) const { return first_column + column_offset(c); }
};

// N numbers of a line in shared or global memory, those of thread t; `swizzle` as the line was stored
// with (weight_tile.cuh).
template <int N, class T>
__device__ __forceinline__ void load_places(const T* line, int t, T (&to)[N], int swizzle = 0) {
  constexpr int width = Shape<T>::width;
  static_assert(N % width == 0);
#pragma unroll
  for (int g = 0; g < N; g += width) {
    const Pack<T> pack = load(line + (place<T>(t, g) ^ swizzle));
#pragma unroll
    for (int e = 0; e < width; ++e) to[g + e] = pack.at[e];
  }
}

// Lines of a stage are so much longer than they need be. Tensor cores' threads read four lines at
// once, eight numbers of each: these are then all in banks of their own.
template <Form F>
inline constexpr int kLinePadding = F == Form::tensor ? 8 : 0;

template <Form F, class T, int TM, int TN>
struct alignas(16) Stages {
  T x[2][Shape<T>::step][kSide * TM + kLinePadding<F>];
  T z[2][Shape<T>::step][kSide * TN + kLinePadding<F>];
};

template <Form F, class T, int TM, int TN>
__device__ __forceinline__ void copy_stage(const PackedPoints<T>& x, std::int64_t i0,
                                           const PackedPoints<T>& z, std::int64_t j0, int k0,
                                           int depth, int stage, Stages<F, T, TM, TN>& stages) {
  constexpr int width = Shape<T>::width;
  constexpr int row_pieces = kSide * TM / width;
  constexpr int pieces = row_pieces + kSide * TN / width;  // of one coordinate
  for (int e = static_cast<int>(threadIdx.x); e < Shape<T>::step * pieces; e += kThreads) {
    const int k = e / pieces;
    const int piece = e % pieces;
    const bool of_x = piece < row_pieces;
    const int at = (of_x ? piece : piece - row_pieces) * width;
    T* to = of_x ? &stages.x[stage][k][at] : &stages.z[stage][k][at];
    if (k0 + k < depth) {
      copy_async(to, of_x ? x.coordinates + (k0 + k) * x.stride + i0 + at
                          : z.coordinates + (k0 + k) * z.stride + j0 + at);
    } else {
      if constexpr (F != Form::tensor) break;
      *reinterpret_cast<Pack<T>*>(to) = Pack<T>{};  // the instruction takes all lines of a stage
    }
  }
  commit_copies();
}

template <Form F, class T>
__device__ __forceinline__ T pair_term(T u, const Law<T>& law) {
  if constexpr (is_product<F>)
    return coordinate_distance<Norm::two>(u, law.norm_power);
  else if constexpr (F == Form::absolute)
    return coordinate_distance<Norm::one>(u, law.norm_power);
  else
    return law.norm == Norm::general ? coordinate_distance<Norm::general>(u, law.norm_power)
                                     : coordinate_distance<Norm::two>(u, law.norm_power);
}

// One coordinate's part of every pair: of the product, or of S.
template <Form F, class T, int TM, int TN>
__device__ __forceinline__ void add_coordinate(const Metric<T>& metric, const T* x, const T* z,
                                               int k, T (&sums)[TM][TN]) {
  T a[TM];
  T b[TN];
  load_places(x, static_cast<int>(threadIdx.x) / kSide, a);
  load_places(z, static_cast<int>(threadIdx.x) % kSide, b);
  if constexpr (F == Form::product) {
#pragma unroll
    for (int r = 0; r < TM; ++r)
#pragma unroll
      for (int c = 0; c < TN; ++c) sums[r][c] = fma(a[r], b[c], sums[r][c]);
  } else {
    const T weight = __ldg(metric.weights + k);
#pragma unroll
    for (int r = 0; r < TM; ++r)
#pragma unroll
      for (int c = 0; c < TN; ++c)
        sums[r][c] = fma(weight, pair_term<F>(a[r] - b[c], metric.law), sums[r][c]);
  }
}

// sums = products or S of rows i0 .. and columns j0 .. . Ends with a barrier.
template <Form F, class T, int TM, int TN>
__device__ __forceinline__ void tile_sums(const Metric<T>& metric, const PackedPoints<T>& x,
                                          std::int64_t i0, const PackedPoints<T>& z,
                                          std::int64_t j0, Stages<F, T, TM, TN>& stages,
                                          T (&sums)[TM][TN]) {
  constexpr int step = Shape<T>::step;
#pragma unroll
  for (int r = 0; r < TM; ++r)
#pragma unroll
    for (int c = 0; c < TN; ++c) sums[r][c] = T(0);
  copy_stage(x, i0, z, j0, 0, metric.depth, 0, stages);
  for (int k0 = 0; k0 < metric.depth; k0 += step) {
    const int stage = k0 / step % 2;
    wait_copies<0>();
    // Behind this barrier all copies of the stage are there, and all threads are done with the other.
    __syncthreads();
    if (k0 + step < metric.depth)
      copy_stage(x, i0, z, j0, k0 + step, metric.depth, 1 - stage, stages);
    if constexpr (F == Form::tensor) {
      add_tensor_step([&](int k, int row) { return stages.x[stage][k][row]; },
                      [&](int k, int column) { return stages.z[stage][k][column]; }, sums);
    } else if (k0 + step <= metric.depth) {
#pragma unroll
      for (int k = 0; k < step; ++k)
        add_coordinate<F>(metric, stages.x[stage][k], stages.z[stage][k], k0 + k, sums);
    } else {
      for (int k = 0; k0 + k < metric.depth; ++k)
        add_coordinate<F>(metric, stages.x[stage][k], stages.z[stage][k], k0 + k, sums);
    }
  }
  __syncthreads();
}

// The difference of two rows in packed coordinate k, in double from the rows as given.
template <class T>
__device__ double exact_difference(const Metric<T>& metric, const Source& x, std::int64_t i,
                                   const Source& z, std::int64_t j, int k, bool weighed) {
  if (metric.root.kind != Root::Kind::full) {
    const double u = x.at(i, k) - z.at(j, k);
    return u * (metric.law.plain && !weighed ? metric.law.scale : metric.factors[k]);
  }
  double sum = 0.0;
  for (std::int64_t f = 0; f < metric.features; ++f) {
    const double u = x.at(i, f) - z.at(j, f);
    if (u != 0.0) sum += u * metric.law.scale * metric.root.data[f * metric.depth + k];
  }
  return sum;
}

// S of a pair whose packed coordinates have lost their difference: src/cpp's Transform::exact_pair.
template <class T>
__device__ double exact_pair(const Metric<T>& metric, const Source& x, std::int64_t i,
                             const Source& z, std::int64_t j) {
  bool same = true;
  for (std::int64_t f = 0; f < metric.features && same; ++f) same = x.at(i, f) == z.at(j, f);
  if (same) return 0.0;
  const auto p = static_cast<double>(metric.law.norm_power);
  double sum = 0.0;
  for (int k = 0; k < metric.depth; ++k) {
    const double u = exact_difference(metric, x, i, z, j, k, true);
    if (metric.law.norm == Norm::general)
      sum += coordinate_distance<Norm::general>(u, p);
    else if (metric.law.norm == Norm::one)
      sum += coordinate_distance<Norm::one>(u, p);
    else
      sum += coordinate_distance<Norm::two>(u, p);
  }
  return metric.law.weight_factor * sum;
}

// Whether some S of a thread is not to be trusted, and the fractions of a pair's sizes, see Trust:
// with S below `trust` it is repaired, below `touching` by what rounding left of the coordinates.
template <class T>
struct Distrust {
  bool any;
  T trust;
  T touching;
  T enough;  // with S above this every pair of the thread may be trusted
};

// S of a pair that the tile's S may not be trusted for, as finish_repaired on the CPU; false if it may.
// `exact`: whether the pair's difference, too, has to be taken from the caller's rows.
template <Form F, bool Weights, class T>
__device__ bool repaired_pair(const Metric<T>& metric, const PackedPoints<T>& x, std::int64_t i,
                              const PackedPoints<T>& z, std::int64_t j, const Distrust<T>& distrust,
                              T& s, bool& exact) {
  const T size = x.sizes[i] + z.sizes[j];
  s = T(0);
  for (int k = 0; k < metric.depth; ++k) {
    const T u = x.coordinates[k * x.stride + i] - z.coordinates[k * z.stride + j];
    s = fma(metric.weights[k], pair_term<F>(u, metric.law), s);
  }
  // The product may have called near what its differences call far, by a rounding; it errs by as
  // much either way.
  if (s > distrust.trust * size) return false;
  exact = !(s > distrust.touching * size);
  if (!exact) return true;
  if (x.rest != nullptr) {
    s = T(0);
    for (int k = 0; k < metric.depth; ++k) {
      const T u = (x.coordinates[k * x.stride + i] - z.coordinates[k * z.stride + j]) +
                  (x.rest[k * x.stride + i] - z.rest[k * z.stride + j]);
      s += pair_term<F>(u, metric.law);
    }
    const bool coincide = !(s > metric.law.coincident * size);
    // The sums of differences know no rests, so there a pair in touch is always taken out of them.
    exact = coincide || (Weights && !is_product<F>);
    if (!coincide) return true;
  }
  s = static_cast<T>(exact_pair(metric, x.source, i, z.source, j));
  return true;
}

// Bounds between which S has a root, an inverse and a quotient: so little that K is 1, and so much that
// it is zero.
template <class T>
inline constexpr T kLeast = sizeof(T) == 4 ? T(1e-30) : T(1e-290);
template <class T>
inline constexpr T kMostS = sizeof(T) == 4 ? T(1e30) : T(1e290);

// K, or omega if `Weights`, from S. S of a pair that is not repaired yet may be anything.
template <bool Weights, Radial R, class T>
__device__ __forceinline__ T pair_value(T s, const Law<T>& law) {
  const T bounded = min(max(s, kLeast<T>), kMostS<T>);
  if constexpr (Weights) {
    const T omega = gradient_weight<R, true>(bounded, law.radial_power, law.decay, law.cusp);
    return zero_unless_above(s, law.cusp, omega);
  } else {
    return kernel_value<R, true>(bounded, law.radial_power, law.decay);
  }
}

template <bool Weights, class T>
__device__ T pair_value(T s, const Law<T>& law) {
  switch (law.radial) {
    case Radial::identity:
      return pair_value<Weights, Radial::identity>(s, law);
    case Radial::square_root:
      return pair_value<Weights, Radial::square_root>(s, law);
    default:
      return pair_value<Weights, Radial::power>(s, law);
  }
}

template <bool Weights, Radial R, class T, int N>
__device__ __forceinline__ void finish(const Law<T>& law, T (&s)[N]) {
#pragma unroll
  for (int c = 0; c < N; ++c) s[c] = pair_value<Weights, R>(s[c], law);
}

// values = K, or omega if `Weights`, of rows i0 .. and columns j0 ..; anything beyond the last point.
// The stages may be written again afterwards.
template <Form F, bool Weights, class T, int TM, int TN>
__device__ __forceinline__ Distrust<T> tile_values(const Metric<T>& metric,
                                                   const PackedPoints<T>& x, std::int64_t i0,
                                                   const PackedPoints<T>& z, std::int64_t j0,
                                                   Stages<F, T, TM, TN>& stages,
                                                   T (&values)[TM][TN]) {
  const Law<T>& law = metric.law;
  const Seat<F, T, TM, TN> seat;
  tile_sums<F>(metric, x, i0, z, j0, stages, values);
  T row_sizes[TM];
  T column_sizes[TN];
  if constexpr (F == Form::tensor) {
#pragma unroll
    for (int r = 0; r < TM; ++r) row_sizes[r] = x.sizes[i0 + seat.row(r)];
#pragma unroll
    for (int c = 0; c < TN; ++c) column_sizes[c] = z.sizes[j0 + seat.column(c)];
  } else {
    load_places(x.sizes + i0, seat.ty, row_sizes);
    load_places(z.sizes + j0, seat.tx, column_sizes);
  }
  T largest_row = row_sizes[0];
  T largest_column = column_sizes[0];
#pragma unroll
  for (int r = 1; r < TM; ++r) largest_row = max(largest_row, row_sizes[r]);
#pragma unroll
  for (int c = 1; c < TN; ++c) largest_column = max(largest_column, column_sizes[c]);
  const T largest = largest_row + largest_column;
  auto least = static_cast<T>(INFINITY);
#pragma unroll
  for (int r = 0; r < TM; ++r)
#pragma unroll
    for (int c = 0; c < TN; ++c) {
      if constexpr (is_product<F>)
        values[r][c] = fma(T(-2), values[r][c], row_sizes[r] + column_sizes[c]);
      least = min(least, values[r][c]);
    }
  // Nearly always the smallest S answers for all pairs of the thread, held against the largest size.
  const T touching = law.touching_within(largest);
  // The parts that a float is split into lose up to twice what its rounding does (mma.cuh).
  constexpr T looser = F == Form::tensor ? T(2) : T(1);
  const T trust = is_product<F> ? looser * law.near(largest) : touching;
  const T enough = trust * largest;
  const Distrust<T> distrust{!(least > enough), trust, touching, enough};
  // The question is asked once a row: asked once a tile, it would have all pairs of a thread meet
  // behind it, in registers that there are not.
#pragma unroll
  for (int r = 0; r < TM; ++r) {
    switch (law.radial) {
      case Radial::identity:
        finish<Weights, Radial::identity>(law, values[r]);
        break;
      case Radial::square_root:
        finish<Weights, Radial::square_root>(law, values[r]);
        break;
      default:
        finish<Weights, Radial::power>(law, values[r]);
    }
  }
  return distrust;
}

// Where a tile's values were stored in K, i and j from the tile's corner. A symmetric K has each of
// them again in its mirror image; on its diagonal, which is its own, only the lower half was stored.
template <class T>
struct Stored {
  T* at;
  std::int64_t length;  // of K's rows
  T* mirror = nullptr;
  bool diagonal = false;
  bool padded = false;  // there is room for pairs beyond the last point, which become zero

  __device__ __forceinline__ bool skips(int i, int j) const { return diagonal && i < j; }
  __device__ __forceinline__ T get(int i, int j) const { return at[i * length + j]; }
  __device__ __forceinline__ void put(int i, int j, T value) const {
    at[i * length + j] = value;
    if (mirror != nullptr) mirror[j * length + i] = value;
  }
  __device__ __forceinline__ void put_beyond(int i, int j) const {
    if (padded) at[i * length + j] = T(0);
  }
};

// Overwrites the values of a thread's pairs that are not to be trusted; gradient weights are marked
// (primitives.cuh). Which pairs these are is asked again here: to carry an answer for each pair would
// cost every tile registers. Called, not inlined, for the same reason. K and omega fall with S, so
// nearly all pairs are let go for the value that they have; the others are asked by their differences.
template <Form F, bool Weights, int TM, int TN, class T, class Place>
__device__ __noinline__ void repair(const Metric<T>& metric, const PackedPoints<T>& x,
                                    std::int64_t i0, const PackedPoints<T>& z, std::int64_t j0,
                                    Distrust<T> distrust, Place stored) {
  const Law<T>& law = metric.law;
  const Seat<F, T, TM, TN> seat;
  // Values below are of an S above `enough` by more than any rounding.
  const T far_value = pair_value<Weights>(distrust.enough * T(1.01), law);
#pragma unroll 1
  for (int pair = 0; pair < TM * TN; ++pair) {
    const int i = seat.row(pair / TN);
    const int j = seat.column(pair % TN);
    if (i0 + i >= x.count || j0 + j >= z.count) {
      stored.put_beyond(i, j);
      continue;
    }
    if (stored.skips(i, j)) continue;
    // An omega of zero may be one of the cusp.
    const T old = stored.get(i, j);
    if (old < far_value && (!Weights || old > T(0))) continue;
    bool exact = false;
    T s = T(0);
    if (!repaired_pair<F, Weights>(metric, x, i0 + i, z, j0 + j, distrust, s, exact)) continue;
    T value = pair_value<Weights>(s, law);
    if constexpr (Weights) {
      if (is_product<F> || exact) value = marked(value, exact);
    } else {
      if (s <= kLeast<T>) value = T(1);  // the exponential of a GPU might be off by its last bit
    }
    stored.put(i, j, value);
  }
}

}  // namespace fastrfm::cuda
