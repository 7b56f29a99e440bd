#include "../kernel_matmul.hpp"
#include "arrays.hpp"
#include "register.hpp"

namespace fastrfm::bind {
namespace {

template <class T>
void call(const py::array& x, const py::array& z, const py::array& v, const py::object& metric_root,
          double norm, double exponent, double bandwidth, py::array& out) {
  KernelMatmulArgs<T> args{};
  args.x = points(x);
  args.z = points(z);
  require(args.x.features == args.z.features, "X and Z must have the same features");
  args.root = root(metric_root, args.x.features);
  args.kernel = {norm, exponent, bandwidth};
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

}  // namespace

void register_kernel_matmul(py::module_& module) {
  module.def(
      "kernel_matmul",
      [](const py::array& x, const py::array& z, const py::array& v, const py::object& metric_root,
         double norm, double exponent, double bandwidth, py::array out) {
        if (is_float32(out))
          call<float>(x, z, v, metric_root, norm, exponent, bandwidth, out);
        else
          call<double>(x, z, v, metric_root, norm, exponent, bandwidth, out);
      },
      py::arg("X"), py::arg("Z"), py::arg("V"), py::arg("root").none(true), py::arg("norm"),
      py::arg("exponent"), py::arg("bandwidth"), py::arg("out"),
      "Fill out (n, c) with K(X, Z) V without forming K; Z the array X: from one triangle.");
}

}  // namespace fastrfm::bind
