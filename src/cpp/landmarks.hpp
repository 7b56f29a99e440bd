// Products with the columns of K at the landmarks of a Nystrom preconditioner (ridge/nystrom.py).
//
//   landmark_gram               G = C^T C              r x r
//   landmark_matmul             out = C B              n x c
//   landmark_transposed_matmul  out = C^T R            r x c
//
// C is n x r row-major in the working precision, in which K was evaluated; everything else is double,
// in which the sums are made: the preconditioner subtracts numbers that agree to six digits. No BLAS
// multiplies float by double, and converting C would double the memory and the time of each product,
// which is that of reading C. The bits do not depend on the number of threads.
#pragma once

#include <cstdint>

#include "common/interrupt.hpp"

namespace fastrfm {

template <class T>
struct LandmarkArgs {
  const T* c;  // n x r
  std::int64_t n;
  std::int64_t r;
};

// gram: r x r, both triangles.
template <class T>
void landmark_gram(const LandmarkArgs<T>& args, double* gram, Interrupt& interrupt);

// b: r x outputs, out: n x outputs, both row-major.
template <class T>
void landmark_matmul(const LandmarkArgs<T>& args, const double* b, std::int64_t outputs,
                     double* out, Interrupt& interrupt);

// residuals: n x outputs, out: r x outputs, both row-major.
template <class T>
void landmark_transposed_matmul(const LandmarkArgs<T>& args, const double* residuals,
                                std::int64_t outputs, double* out, Interrupt& interrupt);

}  // namespace fastrfm
