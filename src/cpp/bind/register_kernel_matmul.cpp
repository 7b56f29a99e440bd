#include "../kernel_matmul.hpp"
#include "arrays.hpp"
#include "register.hpp"

namespace fastrfm::bind {
namespace {

// What both ops have in common.
template <class Args>
void take_points(Args& args, const py::array& x, const py::array& z, const py::object& metric_root,
                 double norm, double exponent, double bandwidth, std::int64_t part_rows) {
  args.x = points(x);
  args.z = points(z);
  require(args.x.features == args.z.features, "X and Z must have the same features");
  args.root = root(metric_root, args.x.features);
  args.kernel = {norm, exponent, bandwidth};
  args.part_rows = part_rows;
}

template <class T>
void call(const py::array& x, const py::array& z, const py::array& v, const py::object& metric_root,
          double norm, double exponent, double bandwidth, py::array& out, std::int64_t part_rows) {
  KernelMatmulArgs<T> args{};
  take_points(args, x, z, metric_root, norm, exponent, bandwidth, part_rows);
  require(v.ndim() == 2 && v.shape(0) == args.z.rows, "V must be (m, c)");
  args.v = contiguous<T>(v, "V must be C-contiguous, of out's dtype");
  args.outputs = v.shape(1);
  args.out = writable<T>(out, args.x.rows * args.outputs, "out must be C-contiguous (n, c)");
  run([&](Interrupt& interrupt) {
    if (same(args.x, args.z))
      kernel_matmul_symmetric(args, interrupt);
    else
      kernel_matmul(args, interrupt);
  });
}

template <class T>
void call_both_ways(const py::array& x, const py::array& z, const py::array& v, const py::array& u,
                    const py::object& metric_root, double norm, double exponent, double bandwidth,
                    py::array& out_x, py::array& out_z, std::int64_t part_rows) {
  KernelMatmulBothWaysArgs<T> args{};
  take_points(args, x, z, metric_root, norm, exponent, bandwidth, part_rows);
  require(v.ndim() == 2 && v.shape(0) == args.z.rows, "V must be (m, c)");
  require(u.ndim() == 2 && u.shape(0) == args.x.rows && u.shape(1) == v.shape(1),
          "U must be (n, c)");
  args.v = contiguous<T>(v, "V must be C-contiguous, of out_x's dtype");
  args.u = contiguous<T>(u, "U must be C-contiguous, of out_x's dtype");
  args.outputs = v.shape(1);
  args.out_x = writable<T>(out_x, args.x.rows * args.outputs, "out_x must be C-contiguous (n, c)");
  args.out_z = writable<T>(out_z, args.z.rows * args.outputs, "out_z must be C-contiguous (m, c)");
  run([&](Interrupt& interrupt) { kernel_matmul_both_ways(args, interrupt); });
}

}  // namespace

void register_kernel_matmul(py::module_& module) {
  module.def(
      "kernel_matmul",
      [](const py::array& x, const py::array& z, const py::array& v, const py::object& metric_root,
         double norm, double exponent, double bandwidth, py::array out, std::int64_t part_rows) {
        (is_float32(out) ? call<float> : call<double>)(x, z, v, metric_root, norm, exponent,
                                                       bandwidth, out, part_rows);
      },
      py::arg("X"), py::arg("Z"), py::arg("V"), py::arg("root").none(true), py::arg("norm"),
      py::arg("exponent"), py::arg("bandwidth"), py::arg("out"), py::arg("part_rows") = 0,
      "Fill out (n, c) with K(X, Z) V without forming K; Z the array X: from one triangle.");
  module.def(
      "kernel_matmul_both_ways",
      [](const py::array& x, const py::array& z, const py::array& v, const py::array& u,
         const py::object& metric_root, double norm, double exponent, double bandwidth,
         py::array out_x, py::array out_z, std::int64_t part_rows) {
        (is_float32(out_x) ? call_both_ways<float>
                           : call_both_ways<double>)(x, z, v, u, metric_root, norm, exponent,
                                                     bandwidth, out_x, out_z, part_rows);
      },
      py::arg("X"), py::arg("Z"), py::arg("V"), py::arg("U"), py::arg("root").none(true),
      py::arg("norm"), py::arg("exponent"), py::arg("bandwidth"), py::arg("out_x"),
      py::arg("out_z"), py::arg("part_rows") = 0,
      "Fill out_x (n, c) with K(X, Z) V and out_z (m, c) with K(X, Z)^T U.");
}

}  // namespace fastrfm::bind
