// kernel_matrix's launcher for points that are packed already; also what the gradient ops call for
// chunks of weights.
#pragma once

#include "points.hpp"

namespace fastrfm::cuda {

enum class Target { full, symmetric, triangle };

// out: x.count x z.count row-major.
template <class T>
void launch_kernel_matrix(Target target, const Metric<T>& metric, const PackedPoints<T>& x,
                          const PackedPoints<T>& z, T* out, const Device& device);

// A rectangle of gradient weights, rows x columns from (row0, column0), row-major without gaps, all
// multiples of a tile's side; pairs in need of repair are marked (primitives.cuh). One flag a tile
// says whether it has any: flags[tile row][tile column].
template <class T>
struct WeightChunk {
  T* weights;
  int* flags;
  std::int64_t row0, rows;
  std::int64_t column0, columns;
};

template <class T>
void launch_weight_chunk(const Metric<T>& metric, const PackedPoints<T>& x,
                         const PackedPoints<T>& z, const WeightChunk<T>& chunk,
                         const Device& device);

}  // namespace fastrfm::cuda
