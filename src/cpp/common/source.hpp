// The caller's points, as they lie in memory: any element type, any strides, never copied whole.
#pragma once

#include <cstddef>
#include <cstdint>

#include "inline.hpp"

namespace fastrfm {

enum class Element : int { float32, float64, int8, uint8 };

struct Source {
  const void* data = nullptr;
  Element element = Element::float32;
  std::int64_t rows = 0;
  std::int64_t features = 0;
  std::int64_t row_stride = 0;  // in bytes
  std::int64_t feature_stride = 0;

  FASTRFM_INLINE double at(std::int64_t row, std::int64_t feature) const {
    const char* p = static_cast<const char*>(data) + row * row_stride + feature * feature_stride;
    switch (element) {
      case Element::float32:
        return static_cast<double>(*reinterpret_cast<const float*>(p));
      case Element::float64:
        return *reinterpret_cast<const double*>(p);
      case Element::int8:
        return static_cast<double>(*reinterpret_cast<const std::int8_t*>(p));
      default:
        return static_cast<double>(*reinterpret_cast<const std::uint8_t*>(p));
    }
  }

  // Calls visit(k, value) for each feature k of a row, in order, with the value as double.
  template <class Visit>
  void for_each_feature(std::int64_t row, Visit visit) const {
    const char* p = static_cast<const char*>(data) + row * row_stride;
    switch (element) {
      case Element::float32:
        walk<float>(p, visit);
        break;
      case Element::float64:
        walk<double>(p, visit);
        break;
      case Element::int8:
        walk<std::int8_t>(p, visit);
        break;
      case Element::uint8:
        walk<std::uint8_t>(p, visit);
        break;
    }
  }

 private:
  template <class S, class Visit>
  void walk(const char* p, Visit& visit) const {
    for (std::int64_t k = 0; k < features; ++k, p += feature_stride)
      visit(k, static_cast<double>(*reinterpret_cast<const S*>(p)));
  }
};

}  // namespace fastrfm
