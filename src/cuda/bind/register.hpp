// The rooms of the module, one function each.
#pragma once

#include <pybind11/pybind11.h>

namespace fastrfm::cuda::bind {

void register_points(pybind11::module_& module);
void register_machine(pybind11::module_& module);
void register_kernel_matrix(pybind11::module_& module);
void register_kernel_matmul(pybind11::module_& module);
void register_gradients(pybind11::module_& module);
void register_gradient_sums(pybind11::module_& module);

}  // namespace fastrfm::cuda::bind
