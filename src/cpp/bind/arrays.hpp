// NumPy arrays in and out of the ops. The Python side has validated what users pass; what is checked
// here again is only what would otherwise corrupt memory.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "../common/interrupt.hpp"
#include "../tile/transform.hpp"

namespace fastrfm::bind {

namespace py = pybind11;

inline void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

// Points of any supported element type and any strides, without a copy.
inline Source points(const py::array& array) {
  require(array.ndim() == 2, "points must be 2-D");
  // The last row and the last feature are read where a tile is not full.
  require(array.size() > 0, "points must have at least one row and one feature");
  Source source;
  source.data = array.data();
  source.rows = array.shape(0);
  source.features = array.shape(1);
  source.row_stride = array.strides(0);
  source.feature_stride = array.strides(1);
  if (py::isinstance<py::array_t<float>>(array))
    source.element = Element::float32;
  else if (py::isinstance<py::array_t<double>>(array))
    source.element = Element::float64;
  else if (py::isinstance<py::array_t<std::int8_t>>(array))
    source.element = Element::int8;
  else if (py::isinstance<py::array_t<std::uint8_t>>(array))
    source.element = Element::uint8;
  else
    throw std::invalid_argument("points must be float32, float64, int8 or uint8");
  const auto address = reinterpret_cast<std::uintptr_t>(source.data);
  const auto itemsize = static_cast<std::uintptr_t>(array.itemsize());
  require(address % itemsize == 0 && array.strides(0) % array.itemsize() == 0 &&
              array.strides(1) % array.itemsize() == 0,
          "points must be aligned to their element size");
  return source;
}

// Whether two sources are the same rows of the same array.
inline bool same(const Source& a, const Source& b) {
  return a.data == b.data && a.element == b.element && a.rows == b.rows &&
         a.features == b.features && a.row_stride == b.row_stride &&
         a.feature_stride == b.feature_stride;
}

// C-contiguous numbers of exactly type T.
template <class T>
const T* contiguous(const py::array& array, const char* what) {
  require(py::isinstance<py::array_t<T, py::array::c_style>>(array), what);
  return static_cast<const T*>(array.data());
}

template <class T>
T* writable(py::array& array, std::int64_t size, const char* what) {
  require(py::isinstance<py::array_t<T, py::array::c_style>>(array) && array.writeable() &&
              array.size() == size,
          what);
  return static_cast<T*>(array.mutable_data());
}

inline Root root(const py::object& object, std::int64_t features) {
  Root result;
  if (object.is_none()) return result;
  const auto array = py::cast<py::array>(object);
  result.data = contiguous<double>(array, "root must be C-contiguous float64");
  if (array.ndim() == 1) {
    result.kind = Root::Kind::diagonal;
  } else {
    require(array.ndim() == 2 && array.shape(1) > 0, "root must be (d,) or (d, k) with k > 0");
    result.kind = Root::Kind::full;
    result.rank = array.shape(1);
  }
  require(array.shape(0) == features, "root must have one row per feature");
  return result;
}

inline bool is_float32(const py::array& array) { return py::isinstance<py::array_t<float>>(array); }

// Runs `op(interrupt)` without Python's lock: other threads of the program go on, and no Python
// object may be touched inside. The arrays stay alive because the caller's arguments hold them.
// Ctrl-C is looked for now and then from this thread, with the lock; what the signal's handler
// raised is what the caller gets.
template <class Op>
void run(Op op) {
  Interrupt interrupt([] {
    const py::gil_scoped_acquire lock;
    return PyErr_CheckSignals() != 0;
  });
  bool interrupted = false;
  {
    const py::gil_scoped_release unlocked;
    try {
      op(interrupt);
    } catch (const Interrupted&) {
      interrupted = true;
    }
  }
  if (interrupted) throw py::error_already_set();
}

}  // namespace fastrfm::bind
