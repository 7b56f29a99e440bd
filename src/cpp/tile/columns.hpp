// Micro-kernel: columns of a block of centres times the coefficients of one output.
// Part of a level: included by tile/level_functions.hpp inside the level's namespace.

// __restrict lets the compiler join the columns of a point into vectors, whatever their number.
template <class T>
void scale_columns(const T* __restrict columns, const T* factors, std::int64_t factor_stride,
                   std::int64_t points, T* __restrict out) {
  for (std::int64_t j = 0; j < points; ++j) {
    const T factor = factors[j * factor_stride];
#pragma GCC unroll 16
    for (int k = 0; k < kTileRows; ++k) out[k] = factor * columns[k];
    columns += kTileRows;
    out += kTileRows;
  }
}
