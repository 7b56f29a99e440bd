// gradients: of every output of the predictor f_l(x) = sum_j coef[j, l] K(x, z_j), in input space.
//
// Shapes: X n x d, Z m x d, coef m x c row-major, out n x c x d row-major. At a centre itself the
// pair of the two contributes nothing (the kernel's cusp).
#pragma once

#include <cstdint>

#include "common/interrupt.hpp"
#include "common/params.hpp"
#include "common/root.hpp"
#include "common/source.hpp"

namespace fastrfm {

template <class T>
struct GradientArgs {
  Source x;
  Source z;
  Root root;
  KernelParams kernel;
  const T* coef;
  std::int64_t outputs;
  T* out;
  std::int64_t part_rows;  // centres packed at a time (tile/parts.hpp); 0: as many as are good
};

template <class T>
void gradients(const GradientArgs<T>& args, Interrupt& interrupt);

}  // namespace fastrfm
