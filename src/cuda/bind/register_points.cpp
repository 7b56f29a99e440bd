// Points and Root: what the ops take of the caller's arrays.
#include "points.hpp"
#include "register.hpp"

namespace fastrfm::cuda::bind {
namespace {

struct ElementType {
  const char* name;
  Element element;
  std::int64_t bytes;
};

constexpr ElementType kElements[] = {{"float32", Element::float32, 4},
                                     {"float64", Element::float64, 8},
                                     {"int8", Element::int8, 1},
                                     {"uint8", Element::uint8, 1}};

ElementType element_type(const std::string& name) {
  for (const ElementType& type : kElements)
    if (name == type.name) return type;
  throw std::invalid_argument("element must be 'float32', 'float64', 'int8' or 'uint8', got '" +
                              name + "'");
}

void require_not_negative(std::int64_t value, const char* name) {
  require(value >= 0, std::string(name) + " must not be negative, got " + std::to_string(value));
}

Source make_points(std::uintptr_t pointer, const std::string& element, std::int64_t rows,
                   std::int64_t features, std::int64_t row_stride, std::int64_t feature_stride) {
  const ElementType type = element_type(element);
  require_not_negative(rows, "rows");
  require_not_negative(features, "features");
  require(pointer != 0 || rows == 0 || features == 0, "points must not be at a null pointer");
  require(pointer % static_cast<std::uintptr_t>(type.bytes) == 0 && row_stride % type.bytes == 0 &&
              feature_stride % type.bytes == 0,
          "points must be aligned to their element size");
  return {reinterpret_cast<const void*>(pointer),
          type.element,
          rows,
          features,
          row_stride,
          feature_stride};
}

MetricRoot make_root(std::uintptr_t pointer, std::int64_t features, std::int64_t rank) {
  require_not_negative(features, "features");
  require_not_negative(rank, "rank");
  Root root;
  root.kind = rank == 0 ? Root::Kind::diagonal : Root::Kind::full;
  root.rank = rank;
  root.data = address<double>(pointer, features, "root");
  return {root, features};
}

}  // namespace

// Local to the module: the emulated one registers the same types.
void register_points(py::module_& module) {
  py::class_<Source>(module, "Points", py::module_local(),
                     "Rows in device memory, read in place; strides are in bytes.")
      .def(py::init(&make_points), py::arg("pointer"), py::arg("element"), py::arg("rows"),
           py::arg("features"), py::arg("row_stride"), py::arg("feature_stride"));
  py::class_<MetricRoot>(module, "Root", py::module_local(),
                         "A square root of the metric, float64 in device memory: (d,) for rank 0, "
                         "else (d, rank), C-contiguous.")
      .def(py::init(&make_root), py::arg("pointer"), py::arg("features"), py::arg("rank") = 0);
}

}  // namespace fastrfm::cuda::bind
