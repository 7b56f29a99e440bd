#include "../kernel_matmul.hpp"
#include "points.hpp"
#include "register.hpp"

namespace fastrfm::cuda::bind {
namespace {

template <class T>
void call(const Source& x, const Source* z, std::uintptr_t v, std::int64_t outputs,
          const MetricRoot* root, const KernelParams& kernel, std::uintptr_t out,
          const py::function& allocate, std::uintptr_t stream) {
  KernelMatmulArgs<T> args{};
  args.x = x;
  args.z = z != nullptr ? *z : x;
  require_same_features(args.x, args.z);
  args.root = root_of(root, x.features);
  args.kernel = kernel;
  args.outputs = positive_outputs(outputs);
  args.v = address<const T>(v, args.z.rows, "V");
  args.out = address<T>(out, x.rows, "out");
  run(allocate, stream, [&](const Device& device) {
    if (z != nullptr)
      kernel_matmul(args, device);
    else
      kernel_matmul_symmetric(args, device);
  });
}

}  // namespace

void register_kernel_matmul(py::module_& module) {
  module.def(
      "kernel_matmul",
      [](const Source& x, const Source* z, std::uintptr_t v, std::int64_t outputs,
         const MetricRoot* root, double norm, double exponent, double bandwidth, std::uintptr_t out,
         const std::string& dtype, const py::function& allocate, std::uintptr_t stream) {
        with_type(dtype, [&](auto type) {
          call<decltype(type)>(x, z, v, outputs, root, {norm, exponent, bandwidth}, out, allocate,
                               stream);
        });
      },
      py::arg("X"), py::arg("Z").none(true), py::arg("V"), py::arg("outputs"),
      py::arg("root").none(true), py::arg("norm"), py::arg("exponent"), py::arg("bandwidth"),
      py::arg("out"), py::arg("dtype"), py::arg("allocate"), py::arg("stream"),
      "Fill out (n, c) with K(X, Z) V without forming K; Z None: X, from one triangle.");
}

}  // namespace fastrfm::cuda::bind
