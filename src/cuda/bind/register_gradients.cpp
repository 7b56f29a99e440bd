#include "../gradients.hpp"
#include "points.hpp"
#include "register.hpp"

namespace fastrfm::cuda::bind {
namespace {

template <class T>
void call(const Source& x, const Source& z, std::uintptr_t coef, std::int64_t outputs,
          const MetricRoot* root, const KernelParams& kernel, std::uintptr_t out,
          const py::function& allocate, std::uintptr_t stream) {
  GradientArgs<T> args{};
  args.x = x;
  args.z = z;
  require_same_features(x, z);
  args.root = root_of(root, x.features);
  args.kernel = kernel;
  args.outputs = positive_outputs(outputs);
  args.coef = address<const T>(coef, z.rows, "coef");
  args.out = address<T>(out, x.rows * x.features, "out");
  run(allocate, stream, [&](const Device& device) { gradients(args, device); });
}

}  // namespace

void register_gradients(py::module_& module) {
  module.def(
      "gradients",
      [](const Source& x, const Source& z, std::uintptr_t coef, std::int64_t outputs,
         const MetricRoot* root, double norm, double exponent, double bandwidth, std::uintptr_t out,
         const std::string& dtype, const py::function& allocate, std::uintptr_t stream) {
        with_type(dtype, [&](auto type) {
          call<decltype(type)>(x, z, coef, outputs, root, {norm, exponent, bandwidth}, out,
                               allocate, stream);
        });
      },
      py::arg("X"), py::arg("Z"), py::arg("coef"), py::arg("outputs"), py::arg("root").none(true),
      py::arg("norm"), py::arg("exponent"), py::arg("bandwidth"), py::arg("out"), py::arg("dtype"),
      py::arg("allocate"), py::arg("stream"),
      "Fill out (n, c, d) with the predictor's gradients in input space.");
}

}  // namespace fastrfm::cuda::bind
