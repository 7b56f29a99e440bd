#include "../kernel_matrix.hpp"
#include "arrays.hpp"
#include "register.hpp"

namespace fastrfm::bind {
namespace {

enum class Form { full, symmetric, packed };

template <class T>
void call(Form form, const py::array& x, const py::object& z, const py::object& metric_root,
          double norm, double exponent, double bandwidth, py::array& out, std::int64_t part_rows) {
  KernelMatrixArgs<T> args{};
  args.x = points(x);
  args.z = form == Form::full ? points(py::cast<py::array>(z)) : args.x;
  require(args.x.features == args.z.features, "X and Z must have the same features");
  args.root = root(metric_root, args.x.features);
  args.kernel = {norm, exponent, bandwidth};
  const std::int64_t n = args.x.rows;
  const std::int64_t size = form == Form::packed ? n * (n + 1) / 2 : n * args.z.rows;
  args.out = writable<T>(out, size, "out must be C-contiguous, writeable and of the right size");
  args.part_rows = part_rows;
  run([&](Interrupt& interrupt) {
    switch (form) {
      case Form::full:
        kernel_matrix(args, interrupt);
        break;
      case Form::symmetric:
        kernel_matrix_symmetric(args, interrupt);
        break;
      case Form::packed:
        kernel_matrix_packed(args, interrupt);
        break;
    }
  });
}

void dispatch(Form form, const py::array& x, const py::object& z, const py::object& metric_root,
              double norm, double exponent, double bandwidth, py::array& out,
              std::int64_t part_rows = 0) {
  if (is_float32(out))
    call<float>(form, x, z, metric_root, norm, exponent, bandwidth, out, part_rows);
  else
    call<double>(form, x, z, metric_root, norm, exponent, bandwidth, out, part_rows);
}

}  // namespace

void register_kernel_matrix(py::module_& module) {
  module.def(
      "kernel_matrix",
      [](const py::array& x, const py::object& z, const py::object& metric_root, double norm,
         double exponent, double bandwidth, py::array out, std::int64_t part_rows) {
        dispatch(z.is_none() ? Form::symmetric : Form::full, x, z, metric_root, norm, exponent,
                 bandwidth, out, part_rows);
      },
      py::arg("X"), py::arg("Z").none(true), py::arg("root").none(true), py::arg("norm"),
      py::arg("exponent"), py::arg("bandwidth"), py::arg("out"), py::arg("part_rows") = 0,
      "Fill out (n, m) with kernel values; Z None: (n, n), from one triangle.");
  module.def(
      "kernel_matrix_packed",
      [](const py::array& x, const py::object& metric_root, double norm, double exponent,
         double bandwidth, py::array out) {
        dispatch(Form::packed, x, py::none(), metric_root, norm, exponent, bandwidth, out);
      },
      py::arg("X"), py::arg("root").none(true), py::arg("norm"), py::arg("exponent"),
      py::arg("bandwidth"), py::arg("out"),
      "Fill out (n (n + 1) / 2,) with the lower triangle, LAPACK RFP, TRANSR N, UPLO L.");
}

}  // namespace fastrfm::bind
