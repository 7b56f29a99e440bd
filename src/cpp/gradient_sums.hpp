// gradient_sums: the sum over rows and outputs of g g^T, the average gradient outer product before its
// mean, and the sum of g for each output. In input space for an identity or diagonal root; for a full
// one in the root's coordinates, where they are smaller (G = A G~ A^T is for the caller). With row
// weights w, the sums of w g g^T and of w g; their mean is for the caller.
//
// Shapes: X n x d, Z m x d, coef m x c row-major; sums k x k (or k, diagonal form), output_sums c x k,
// in double, k the number of transformed coordinates. With `output_samples` s the c outputs are
// replaced by s random mixtures, drawn anew for each task's points (tile/output_mixer.hpp); the sums
// then are unbiased. Means of outputs are not to be had from them, so output_sums is null. Nothing of
// size n x m or n x c x d is stored: gradients live for one bounded chunk of rows.
#pragma once

#include <cstdint>

#include "common/interrupt.hpp"
#include "common/params.hpp"
#include "common/root.hpp"
#include "common/source.hpp"

namespace fastrfm {

template <class T>
struct GradientSumsArgs {
  Source x;
  Source z;
  Root root;
  KernelParams kernel;
  const T* coef;
  std::int64_t outputs;
  bool diagonal;
  double* sums;
  double* output_sums;          // null if not wanted
  std::int64_t output_samples;  // 0: the outputs themselves
  std::uint64_t seed;           // of the mixtures
  const double* row_weights;    // n of them, at least 0; null: all 1
  std::int64_t part_rows;       // centres packed at a time (tile/parts.hpp); 0: as many as are good
};

template <class T>
void gradient_sums(const GradientSumsArgs<T>& args, Interrupt& interrupt);

}  // namespace fastrfm
