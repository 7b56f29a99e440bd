// kernel_matmul: out = K V, out[i, l] = sum_j K(x_i, z_j) V[j, l], without K.
//
// Shapes: X n x d, Z m x d, V m x c row-major, out n x c row-major.
#pragma once

#include <cstdint>

#include "common/interrupt.hpp"
#include "common/params.hpp"
#include "common/root.hpp"
#include "common/source.hpp"

namespace fastrfm {

template <class T>
struct KernelMatmulArgs {
  Source x;
  Source z;
  Root root;
  KernelParams kernel;
  const T* v;
  std::int64_t outputs;
  T* out;
};

template <class T>
void kernel_matmul(const KernelMatmulArgs<T>& args, Interrupt& interrupt);

// The same for Z = X (`args.z` is not read) from one triangle's evaluations: K is symmetric, so a
// block off its diagonal serves its rows and its columns.
template <class T>
void kernel_matmul_symmetric(const KernelMatmulArgs<T>& args, Interrupt& interrupt);

}  // namespace fastrfm
