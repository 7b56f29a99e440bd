// kernel_matmul on the device: src/cpp/kernel_matmul.hpp has the formula, the shapes and the
// arguments. Here every pointer in them is a device pointer, and the op is queued, not waited for.
#pragma once

#include "../cpp/kernel_matmul.hpp"
#include "device.hpp"

namespace fastrfm::cuda {

template <class T>
void kernel_matmul(const KernelMatmulArgs<T>& args, const Device& device);

// The same for Z = X (`args.z` is not read), from one triangle's evaluations.
template <class T>
void kernel_matmul_symmetric(const KernelMatmulArgs<T>& args, const Device& device);

}  // namespace fastrfm::cuda
