// Sums over parts, in the order of the parts: what stands in for floating-point atomics.
#pragma once

#include <cstdint>

#include "points.hpp"
#include "weighted_sums.hpp"

namespace fastrfm::cuda {

// out[e] = sum over parts of in[part * stride + e], e < count.
template <class T>
void add_parts(const T* in, std::int64_t parts, std::int64_t stride, std::int64_t count, T* out,
               const Device& device);

// Gradients in packed coordinates from a gradient pass: out[(i * c + l) * depth + k], times the factor
// of coordinate k if `scaled` and that of the row, counted from row 0 of all, unless `row_factors` is
// null. For p = 2 the pass holds T and S, and the gradient is x S - T.
template <class T>
void finish_gradients(const WeightedSums<T>& pass, bool scaled, const double* row_factors, T* out,
                      const Device& device);

// In these two `partial` is room for partial sums.
//
// sums[a * width + b] += sum over rows of g[row * width + a] g[row * width + b] for a <= b.
template <class T>
void add_outer_products(const T* g, std::int64_t rows, int width, double* sums,
                        Reusable<double>& partial, const Device& device);

// Of rows of `columns` numbers: plain[q] += their sums, each row times its factor (null: 1), and
// squares[q] += the sums of their squares, each unless null.
template <class T>
void add_column_sums(const T* g, std::int64_t rows, std::int64_t columns, const double* row_factors,
                     double* plain, double* squares, Reusable<double>& partial,
                     const Device& device);

}  // namespace fastrfm::cuda
