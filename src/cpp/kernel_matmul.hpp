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
  std::int64_t part_rows;  // points packed at a time (tile/parts.hpp); 0: as many as are good
};

template <class T>
void kernel_matmul(const KernelMatmulArgs<T>& args, Interrupt& interrupt);

// The same for Z = X (`args.z` is not read) from one triangle's evaluations: K is symmetric, so a
// block off its diagonal serves its rows and its columns.
template <class T>
void kernel_matmul_symmetric(const KernelMatmulArgs<T>& args, Interrupt& interrupt);

// out_x = K(X, Z) V and out_z = K(X, Z)^T U from one evaluation of K(X, Z). U n x c.
template <class T>
struct KernelMatmulBothWaysArgs {
  Source x;
  Source z;
  Root root;
  KernelParams kernel;
  const T* v;
  const T* u;
  std::int64_t outputs;
  T* out_x;
  T* out_z;
  std::int64_t part_rows;
};

template <class T>
void kernel_matmul_both_ways(const KernelMatmulBothWaysArgs<T>& args, Interrupt& interrupt);

}  // namespace fastrfm
