// gradient_sums on the device: src/cpp/gradient_sums.hpp has the formula, the shapes and the
// arguments. Here every pointer in them is a device pointer, and the op is queued, not waited for.
#pragma once

#include "../cpp/gradient_sums.hpp"
#include "device.hpp"

namespace fastrfm::cuda {

template <class T>
void gradient_sums(const GradientSumsArgs<T>& args, const Device& device);

}  // namespace fastrfm::cuda
