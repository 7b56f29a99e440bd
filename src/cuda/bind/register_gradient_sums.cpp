#include <optional>

#include <pybind11/stl.h>

#include "../gradient_sums.hpp"
#include "points.hpp"
#include "register.hpp"

namespace fastrfm::cuda::bind {
namespace {

struct Sums {
  bool diagonal;
  std::uintptr_t sums;
  std::optional<std::uintptr_t> output_sums;
  std::int64_t output_samples;
  std::uint64_t seed;
  std::optional<std::uintptr_t> row_weights;
};

template <class T>
void call(const Source& x, const Source& z, std::uintptr_t coef, std::int64_t outputs,
          const MetricRoot* root, const KernelParams& kernel, const Sums& sums,
          const py::function& allocate, std::uintptr_t stream) {
  GradientSumsArgs<T> args{};
  args.x = x;
  args.z = z;
  require_same_features(x, z);
  args.root = root_of(root, x.features);
  args.kernel = kernel;
  args.outputs = positive_outputs(outputs);
  args.coef = address<const T>(coef, z.rows, "coef");
  args.diagonal = sums.diagonal;
  require(sums.output_samples >= 0,
          "output_samples must not be negative, got " + std::to_string(sums.output_samples));
  require(sums.output_samples == 0 || !sums.output_sums,
          "random mixtures have no means of outputs: output_sums must be None");
  args.output_samples = sums.output_samples;
  args.seed = sums.seed;
  const std::int64_t depth = args.root.coordinates(x.features);
  args.sums = address<double>(sums.sums, depth, "sums");
  if (sums.row_weights)
    args.row_weights = address<const double>(*sums.row_weights, x.rows, "row_weights");
  if (sums.output_sums) args.output_sums = address<double>(*sums.output_sums, depth, "output_sums");
  run(allocate, stream, [&](const Device& device) { gradient_sums(args, device); });
}

}  // namespace

void register_gradient_sums(py::module_& module) {
  module.def(
      "gradient_sums",
      [](const Source& x, const Source& z, std::uintptr_t coef, std::int64_t outputs,
         const MetricRoot* root, double norm, double exponent, double bandwidth, bool diagonal,
         std::uintptr_t sums, std::optional<std::uintptr_t> output_sums,
         std::int64_t output_samples, std::uint64_t seed, std::optional<std::uintptr_t> row_weights,
         const std::string& dtype, const py::function& allocate, std::uintptr_t stream) {
        with_type(dtype, [&](auto type) {
          call<decltype(type)>(x, z, coef, outputs, root, {norm, exponent, bandwidth},
                               {diagonal, sums, output_sums, output_samples, seed, row_weights},
                               allocate, stream);
        });
      },
      py::arg("X"), py::arg("Z"), py::arg("coef"), py::arg("outputs"), py::arg("root").none(true),
      py::arg("norm"), py::arg("exponent"), py::arg("bandwidth"), py::arg("diagonal"),
      py::arg("sums"), py::arg("output_sums").none(true), py::arg("output_samples"),
      py::arg("seed"), py::arg("row_weights").none(true), py::arg("dtype"), py::arg("allocate"),
      py::arg("stream"),
      "Fill sums (k, k), or its diagonal (k,), with the sum over rows and outputs of g g^T, and "
      "output_sums (c, k), unless None, with that of g; float64; in input space, or in the "
      "coordinates of a (d, k) root. With output_samples > 0, of as many random mixtures of the "
      "outputs. With row_weights (n,), float64, unless None, each row times its weight.");
}

}  // namespace fastrfm::cuda::bind
