// kernel_matrix on the device: src/cpp/kernel_matrix.hpp has the formula, the shapes and the
// arguments. Here every pointer in them is a device pointer, and the op is queued, not waited for.
#pragma once

#include "../cpp/kernel_matrix.hpp"
#include "device.hpp"

namespace fastrfm::cuda {

// out: n x m.
template <class T>
void kernel_matrix(const KernelMatrixArgs<T>& args, const Device& device);

// out: n x n, from one triangle's evaluations (`args.z` is not read).
template <class T>
void kernel_matrix_symmetric(const KernelMatrixArgs<T>& args, const Device& device);

// out: n x n row-major, of which the lower triangle is written (`args.z` is not read): what a
// factorisation in place reads. Entries above the diagonal keep their values, but for those of tiles
// that the diagonal crosses.
template <class T>
void kernel_matrix_triangle(const KernelMatrixArgs<T>& args, const Device& device);

}  // namespace fastrfm::cuda
