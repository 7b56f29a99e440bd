// kernel_matrix: K[i, j] = exp(-(||A^T (x_i - z_j)||_p / L)^q).
//
// Shapes: X n x d, Z m x d, out n x m row-major; symmetric: Z is X. A pair of identical rows gives
// exactly 1; a symmetric K is exactly symmetric. Distances are never stored.
#pragma once

#include <cstdint>

#include "common/interrupt.hpp"
#include "common/params.hpp"
#include "common/root.hpp"
#include "common/source.hpp"

namespace fastrfm {

template <class T>
struct KernelMatrixArgs {
  Source x;
  Source z;  // ignored by the symmetric forms
  Root root;
  KernelParams kernel;
  T* out;
  std::int64_t part_rows;  // points packed at a time (tile/parts.hpp); 0: as many as are good
};

// out: n x m.
template <class T>
void kernel_matrix(const KernelMatrixArgs<T>& args, Interrupt& interrupt);

// out: n x n, from one triangle's evaluations.
template <class T>
void kernel_matrix_symmetric(const KernelMatrixArgs<T>& args, Interrupt& interrupt);

// out: n (n + 1) / 2, the lower triangle in LAPACK's rectangular full packed format (TRANSR = 'N',
// UPLO = 'L'; Gustavson et al. 2010, doi 10.1145/1731022.1731028).
template <class T>
void kernel_matrix_packed(const KernelMatrixArgs<T>& args, Interrupt& interrupt);

}  // namespace fastrfm
