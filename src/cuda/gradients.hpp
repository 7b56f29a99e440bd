// gradients on the device: src/cpp/gradients.hpp has the formula, the shapes and the arguments.
// Here every pointer in them is a device pointer, and the op is queued, not waited for.
#pragma once

#include "../cpp/gradients.hpp"
#include "device.hpp"

namespace fastrfm::cuda {

template <class T>
void gradients(const GradientArgs<T>& args, const Device& device);

}  // namespace fastrfm::cuda
