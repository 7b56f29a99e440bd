#include "../gradient_sums.hpp"
#include "arrays.hpp"
#include "register.hpp"

namespace fastrfm::bind {
namespace {

template <class T>
py::tuple call(const py::array& x, const py::array& z, const py::array& coef,
               const py::object& metric_root, double norm, double exponent, double bandwidth,
               bool diagonal, bool output_sums, std::int64_t output_samples, std::uint64_t seed,
               const py::object& row_weights, std::int64_t part_rows) {
  GradientSumsArgs<T> args{};
  args.x = points(x);
  args.z = points(z);
  require(args.x.features == args.z.features, "X and Z must have the same features");
  args.root = root(metric_root, args.x.features);
  args.kernel = {norm, exponent, bandwidth};
  require(coef.ndim() == 2 && coef.shape(0) == args.z.rows && coef.shape(1) > 0,
          "coef must be (m, c) with c > 0");
  args.coef = contiguous<T>(coef, "coef must be C-contiguous float32 or float64");
  args.outputs = coef.shape(1);
  args.diagonal = diagonal;
  require(output_samples >= 0, "output_samples must not be negative");
  require(output_samples == 0 || !output_sums, "random mixtures have no means of outputs");
  args.output_samples = output_samples;
  args.seed = seed;
  if (!row_weights.is_none()) {
    const auto weights = py::cast<py::array>(row_weights);
    require(weights.ndim() == 1 && weights.shape(0) == args.x.rows, "row_weights must be (n,)");
    args.row_weights = contiguous<double>(weights, "row_weights must be C-contiguous float64");
  }
  args.part_rows = part_rows;
  const std::int64_t depth = args.root.kind == Root::Kind::full ? args.root.rank : args.x.features;
  auto sums = diagonal ? py::array_t<double>(depth) : py::array_t<double>({depth, depth});
  auto by_output = py::array_t<double>({output_sums ? args.outputs : 0, depth});
  args.sums = sums.mutable_data();
  args.output_sums = output_sums ? by_output.mutable_data() : nullptr;
  run([&](Interrupt& interrupt) { gradient_sums(args, interrupt); });
  return py::make_tuple(sums, output_sums ? py::object(by_output) : py::none());
}

}  // namespace

void register_gradient_sums(py::module_& module) {
  module.def(
      "gradient_sums",
      [](const py::array& x, const py::array& z, const py::array& coef,
         const py::object& metric_root, double norm, double exponent, double bandwidth,
         bool diagonal, bool output_sums, std::int64_t output_samples, std::uint64_t seed,
         const py::object& row_weights, std::int64_t part_rows) {
        return (is_float32(coef) ? call<float> : call<double>)(x, z, coef, metric_root, norm,
                                                               exponent, bandwidth, diagonal,
                                                               output_sums, output_samples, seed,
                                                               row_weights, part_rows);
      },
      py::arg("X"), py::arg("Z"), py::arg("coef"), py::arg("root").none(true), py::arg("norm"),
      py::arg("exponent"), py::arg("bandwidth"), py::arg("diagonal"), py::arg("output_sums"),
      py::arg("output_samples") = 0, py::arg("seed") = 0, py::arg("row_weights") = py::none(),
      py::arg("part_rows") = 0,
      "Sums over rows and outputs of g g^T, (k, k) or its diagonal, and of g, (c, k) or None; in "
      "input space, or in the coordinates of a (d, k) root. With output_samples > 0, of as many "
      "random mixtures of the outputs. With row_weights (n,), each row times its weight.");
}

}  // namespace fastrfm::bind
