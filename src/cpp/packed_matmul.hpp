// packed_matmul: out = A V for a symmetric A in LAPACK's rectangular full packed format (TRANSR = 'N',
// UPLO = 'L', as kernel_matrix_packed writes it), which LAPACK itself has no product for.
//
// Shapes: A n (n + 1) / 2, V n x c row-major, out n x c row-major. Each entry of A is read once and
// serves its row and its column: the pass runs at the memory's bandwidth.
#pragma once

#include <cstdint>

#include "common/interrupt.hpp"

namespace fastrfm {

template <class T>
struct PackedMatmulArgs {
  const T* packed;
  std::int64_t n;
  const T* v;
  std::int64_t outputs;
  T* out;
};

template <class T>
void packed_matmul(const PackedMatmulArgs<T>& args, Interrupt& interrupt);

}  // namespace fastrfm
