#include "../kernel_matrix.hpp"
#include "points.hpp"
#include "register.hpp"

namespace fastrfm::cuda::bind {
namespace {

template <class T>
void call(const Source& x, const Source* z, const MetricRoot* root, const KernelParams& kernel,
          std::uintptr_t out, bool triangle, const py::function& allocate, std::uintptr_t stream) {
  require(z == nullptr || !triangle, "a triangle is of X alone: Z must be None");
  KernelMatrixArgs<T> args{};
  args.x = x;
  args.z = z != nullptr ? *z : x;
  require_same_features(args.x, args.z);
  args.root = root_of(root, x.features);
  args.kernel = kernel;
  args.out = address<T>(out, x.rows * args.z.rows, "out");
  run(allocate, stream, [&](const Device& device) {
    if (z != nullptr)
      kernel_matrix(args, device);
    else if (triangle)
      kernel_matrix_triangle(args, device);
    else
      kernel_matrix_symmetric(args, device);
  });
}

}  // namespace

void register_kernel_matrix(py::module_& module) {
  module.def(
      "kernel_matrix",
      [](const Source& x, const Source* z, const MetricRoot* root, double norm, double exponent,
         double bandwidth, std::uintptr_t out, const std::string& dtype, bool triangle,
         const py::function& allocate, std::uintptr_t stream) {
        with_type(dtype, [&](auto type) {
          call<decltype(type)>(x, z, root, {norm, exponent, bandwidth}, out, triangle, allocate,
                               stream);
        });
      },
      py::arg("X"), py::arg("Z").none(true), py::arg("root").none(true), py::arg("norm"),
      py::arg("exponent"), py::arg("bandwidth"), py::arg("out"), py::arg("dtype"),
      py::arg("triangle"), py::arg("allocate"), py::arg("stream"),
      "Fill out (n, m) with kernel values; Z None: (n, n), from one triangle's evaluations, or "
      "with "
      "`triangle` the lower one alone.");
}

}  // namespace fastrfm::cuda::bind
