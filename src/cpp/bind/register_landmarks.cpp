#include "../landmarks.hpp"
#include "arrays.hpp"
#include "register.hpp"

namespace fastrfm::bind {
namespace {

template <class T>
LandmarkArgs<T> landmarks(const py::array& c) {
  require(c.ndim() == 2, "C must be (n, r)");
  return {contiguous<T>(c, "C must be C-contiguous"), c.shape(0), c.shape(1)};
}

// Calls op(args) with C in its own type.
template <class Op>
void dispatch(const py::array& c, Op op) {
  if (is_float32(c))
    op(landmarks<float>(c));
  else
    op(landmarks<double>(c));
}

std::int64_t outputs_of(const py::array& b, std::int64_t rows) {
  require(b.ndim() == 2 && b.shape(0) == rows, "the second operand has the wrong number of rows");
  return b.shape(1);
}

}  // namespace

void register_landmarks(py::module_& module) {
  module.def(
      "landmark_gram",
      [](const py::array& c, py::array out) {
        dispatch(c, [&](const auto& args) {
          double* to = writable<double>(out, args.r * args.r, "out must be float64 (r, r)");
          run([&](Interrupt& interrupt) { landmark_gram(args, to, interrupt); });
        });
      },
      py::arg("C"), py::arg("out"), "Fill out (r, r) with C^T C, summed in double.");
  module.def(
      "landmark_matmul",
      [](const py::array& c, const py::array& b, py::array out) {
        dispatch(c, [&](const auto& args) {
          const std::int64_t outputs = outputs_of(b, args.r);
          const double* from = contiguous<double>(b, "B must be C-contiguous float64");
          double* to = writable<double>(out, args.n * outputs, "out must be float64 (n, c)");
          run([&](Interrupt& interrupt) { landmark_matmul(args, from, outputs, to, interrupt); });
        });
      },
      py::arg("C"), py::arg("B"), py::arg("out"), "Fill out (n, c) with C B, summed in double.");
  module.def(
      "landmark_transposed_matmul",
      [](const py::array& c, const py::array& r, py::array out) {
        dispatch(c, [&](const auto& args) {
          const std::int64_t outputs = outputs_of(r, args.n);
          const double* from = contiguous<double>(r, "R must be C-contiguous float64");
          double* to = writable<double>(out, args.r * outputs, "out must be float64 (r, c)");
          run([&](Interrupt& interrupt) {
            landmark_transposed_matmul(args, from, outputs, to, interrupt);
          });
        });
      },
      py::arg("C"), py::arg("R"), py::arg("out"), "Fill out (r, c) with C^T R, summed in double.");
}

}  // namespace fastrfm::bind
