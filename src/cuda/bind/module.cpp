#include "register.hpp"

// FASTRFM_MODULE: _cuda, or _cuda_emulated where the kernels run on the CPU.
PYBIND11_MODULE(FASTRFM_MODULE, module) {
  module.doc() = "fastrfm's compiled passes in CUDA";
  fastrfm::cuda::bind::register_machine(module);
  fastrfm::cuda::bind::register_points(module);
  fastrfm::cuda::bind::register_kernel_matrix(module);
  fastrfm::cuda::bind::register_kernel_matmul(module);
  fastrfm::cuda::bind::register_gradients(module);
  fastrfm::cuda::bind::register_gradient_sums(module);
}
