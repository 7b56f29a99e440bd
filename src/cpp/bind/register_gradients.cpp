#include "../gradients.hpp"
#include "arrays.hpp"
#include "register.hpp"

namespace fastrfm::bind {
namespace {

template <class T>
void call(const py::array& x, const py::array& z, const py::array& coef,
          const py::object& metric_root, double norm, double exponent, double bandwidth,
          py::array& out, std::int64_t part_rows) {
  GradientArgs<T> args{};
  args.x = points(x);
  args.z = points(z);
  require(args.x.features == args.z.features, "X and Z must have the same features");
  args.root = root(metric_root, args.x.features);
  args.kernel = {norm, exponent, bandwidth};
  require(coef.ndim() == 2 && coef.shape(0) == args.z.rows && coef.shape(1) > 0,
          "coef must be (m, c) with c > 0");
  args.coef = contiguous<T>(coef, "coef must be C-contiguous, of out's dtype");
  args.outputs = coef.shape(1);
  args.out = writable<T>(out, args.x.rows * args.outputs * args.x.features,
                         "out must be C-contiguous (n, c, d)");
  args.part_rows = part_rows;
  run([&](Interrupt& interrupt) { gradients(args, interrupt); });
}

}  // namespace

void register_gradients(py::module_& module) {
  module.def(
      "gradients",
      [](const py::array& x, const py::array& z, const py::array& coef,
         const py::object& metric_root, double norm, double exponent, double bandwidth,
         py::array out, std::int64_t part_rows) {
        if (is_float32(out))
          call<float>(x, z, coef, metric_root, norm, exponent, bandwidth, out, part_rows);
        else
          call<double>(x, z, coef, metric_root, norm, exponent, bandwidth, out, part_rows);
      },
      py::arg("X"), py::arg("Z"), py::arg("coef"), py::arg("root").none(true), py::arg("norm"),
      py::arg("exponent"), py::arg("bandwidth"), py::arg("out"), py::arg("part_rows") = 0,
      "Fill out (n, c, d) with the predictor's gradients in input space.");
}

}  // namespace fastrfm::bind
