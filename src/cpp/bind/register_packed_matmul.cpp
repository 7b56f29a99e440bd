#include "../packed_matmul.hpp"
#include "arrays.hpp"
#include "register.hpp"

namespace fastrfm::bind {
namespace {

template <class T>
void call(const py::array& packed, const py::array& v, py::array& out) {
  PackedMatmulArgs<T> args{};
  require(v.ndim() == 2, "V must be (n, c)");
  args.n = v.shape(0);
  args.outputs = v.shape(1);
  require(packed.size() == args.n * (args.n + 1) / 2, "A must have n (n + 1) / 2 entries");
  args.packed = contiguous<T>(packed, "A must be C-contiguous, of out's dtype");
  args.v = contiguous<T>(v, "V must be C-contiguous, of out's dtype");
  args.out = writable<T>(out, args.n * args.outputs, "out must be C-contiguous (n, c)");
  run([&](Interrupt& interrupt) { packed_matmul(args, interrupt); });
}

}  // namespace

void register_packed_matmul(py::module_& module) {
  module.def(
      "packed_matmul",
      [](const py::array& packed, const py::array& v, py::array out) {
        if (is_float32(out))
          call<float>(packed, v, out);
        else
          call<double>(packed, v, out);
      },
      py::arg("A"), py::arg("V"), py::arg("out"),
      "Fill out (n, c) with A V, A symmetric in LAPACK RFP, TRANSR N, UPLO L.");
}

}  // namespace fastrfm::bind
