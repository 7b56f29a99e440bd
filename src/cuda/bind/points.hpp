// Device memory in and out of the ops, as integers: addresses, shapes and strides. The Python side has
// validated the arrays; what is checked here again is only what would otherwise corrupt memory.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "../../cpp/common/root.hpp"
#include "../../cpp/common/source.hpp"
#include "../device.hpp"

namespace fastrfm::cuda::bind {

namespace py = pybind11;

inline void require(bool condition, const std::string& what) {
  if (!condition) throw std::invalid_argument(what);
}

// A metric root with its number of rows, which fastrfm::Root itself takes from the points.
struct MetricRoot {
  Root root;
  std::int64_t features;
};

inline Root root_of(const MetricRoot* given, std::int64_t features) {
  if (given == nullptr) return Root{};
  require(given->features == features, "root must have one row per feature");
  return given->root;
}

inline void require_same_features(const Source& x, const Source& z) {
  require(x.features == z.features, "X and Z must have the same features");
}

// The address of `count` numbers of type T; any where there are none.
template <class T>
T* address(std::uintptr_t pointer, std::int64_t count, const char* name) {
  require(count == 0 || pointer != 0, std::string(name) + " must not be a null pointer");
  require(pointer % alignof(T) == 0, std::string(name) + " must be aligned to its element size");
  return reinterpret_cast<T*>(pointer);
}

inline std::int64_t positive_outputs(std::int64_t outputs) {
  require(outputs > 0, "outputs must be positive, got " + std::to_string(outputs));
  return outputs;
}

// Calls op(T()) with T the type that `dtype` names.
template <class Op>
void with_type(const std::string& dtype, Op op) {
  if (dtype == "float32")
    op(float{});
  else if (dtype == "float64")
    op(double{});
  else
    throw std::invalid_argument("dtype must be 'float32' or 'float64', got '" + dtype + "'");
}

inline void* allocated(const py::function& allocate, std::size_t bytes) {
  const py::object result = allocate(bytes);
  if (!py::isinstance<py::int_>(result))
    throw py::type_error("allocate must return an address as int, got " +
                         py::cast<std::string>(py::repr(result)));
  const auto pointer = py::cast<std::uintptr_t>(result);
  constexpr std::uintptr_t alignment = 256;
  require(pointer != 0 && pointer % alignment == 0,
          "allocate must return the address of memory aligned to 256 bytes, got " +
              std::to_string(pointer));
  return reinterpret_cast<void*>(pointer);
}

// Runs op(device) without Python's lock, since the driver may make it wait. For memory the op comes
// back to Python, with the lock; what is raised there (no memory left) is what the caller gets.
template <class Op>
void run(const py::function& allocate, std::uintptr_t stream, Op op) {
  Device device;
  device.stream = reinterpret_cast<void*>(stream);
  device.allocate = [&allocate](std::size_t bytes) {
    const py::gil_scoped_acquire lock;
    return allocated(allocate, bytes);
  };
  const py::gil_scoped_release unlocked;
  op(device);
}

}  // namespace fastrfm::cuda::bind
