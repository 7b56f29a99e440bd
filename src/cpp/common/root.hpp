// The square root A of the metric M = A A^T, as the ops take it.
#pragma once

#include <cstdint>

namespace fastrfm {

struct Root {
  enum class Kind { identity, diagonal, full };
  Kind kind = Kind::identity;
  const double* data = nullptr;  // d, or d x k row-major
  std::int64_t rank = 0;         // k; used for full only

  std::int64_t coordinates(std::int64_t features) const {
    return kind == Kind::full ? rank : features;
  }
};

}  // namespace fastrfm
