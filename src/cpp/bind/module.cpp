#include "register.hpp"

PYBIND11_MODULE(_cpu, module) {
  module.doc() = "fastrfm's compiled passes on the CPU";
  fastrfm::bind::register_machine(module);
  fastrfm::bind::register_kernel_matrix(module);
  fastrfm::bind::register_kernel_matmul(module);
  fastrfm::bind::register_packed_matmul(module);
  fastrfm::bind::register_landmarks(module);
  fastrfm::bind::register_gradients(module);
  fastrfm::bind::register_gradient_sums(module);
}
