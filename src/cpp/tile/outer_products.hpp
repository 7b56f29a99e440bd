// Sums of outer products of rows: sum_r g_r g_r^T, one triangle, accumulated in double.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "../common/buffer.hpp"
#include "../common/parallel.hpp"
#include "level.hpp"

namespace fastrfm {

// Rows summed in working precision before they are added in double.
inline constexpr std::int64_t kSumDepth = 512;

// Rows as lane panels over their coordinates: [coordinate panel][row][coordinate], so that both
// operands of the outer product read straight through. Of gradients, a row is a (point, output) pair.
template <class T>
struct Chunk {
  std::int64_t depth;
  std::int64_t lanes;
  std::int64_t rows;  // capacity
  Buffer<T> values;

  Chunk(std::int64_t coordinates, std::int64_t capacity)
      : depth(coordinates),
        lanes(level<T>().lanes),
        rows(capacity),
        values(ceil_div(coordinates, lanes) * lanes * capacity) {
    values.clear();  // the coordinates that pad the last panel stay zero
  }
  T* row(std::int64_t panel, std::int64_t r) { return values.data() + (panel * rows + r) * lanes; }

  // One panel of points' gradients g[k * lanes + point] into rows first ...
  void put(const T* g, std::int64_t first) {
    for (std::int64_t k = 0; k < depth; ++k) {
      T* to = row(k / lanes, first) + k % lanes;
      for (std::int64_t point = 0; point < lanes; ++point) to[point * lanes] = g[k * lanes + point];
    }
  }
  // Added to what is there.
  void add(const T* g, std::int64_t first) {
    for (std::int64_t k = 0; k < depth; ++k) {
      T* to = row(k / lanes, first) + k % lanes;
      for (std::int64_t point = 0; point < lanes; ++point)
        to[point * lanes] += g[k * lanes + point];
    }
  }
  // A panel's rows times the factors of their points.
  void scale(std::int64_t first, const double* factors) {
    for (std::int64_t panel = 0; panel * lanes < depth; ++panel)
      for (std::int64_t point = 0; point < lanes; ++point) {
        T* values_of_point = row(panel, first + point);
        for (std::int64_t k = 0; k < lanes; ++k)
          values_of_point[k] *= static_cast<T>(factors[point]);
      }
  }
};

// sums += chunk^T chunk over its first `used` rows, upper blocks only.
template <class T>
void add_outer_products(Chunk<T>& chunk, std::int64_t used, double* sums, Interrupt& interrupt) {
  const Level<T>& lv = level<T>();
  const std::int64_t lanes = lv.lanes;
  const std::int64_t k_count = chunk.depth;
  // Groups of coordinates for the outer product's first operand: they must not straddle a panel.
  const std::int64_t group = std::gcd<std::int64_t>(lanes, 8) > lv.tile_rows
                                 ? std::gcd<std::int64_t>(lanes, 4)
                                 : std::gcd<std::int64_t>(lanes, 8);
  const std::int64_t groups = ceil_div(k_count, group);
  const double operations =
      static_cast<double>(k_count) * static_cast<double>(k_count) * static_cast<double>(used);
  parallel_tasks(groups, operations, interrupt, [&](std::int64_t a) {
    std::vector<T> tile(static_cast<std::size_t>(group * lanes));
    const std::int64_t first = a * group;
    const std::int64_t count = std::min(group, k_count - first);
    for (std::int64_t b = first / lanes; b * lanes < k_count; ++b)
      for (std::int64_t r = 0; r < used; r += kSumDepth) {
        std::fill(tile.begin(), tile.end(), T(0));
        lv.accumulate[group](chunk.row(first / lanes, r) + first % lanes, lanes, chunk.row(b, r),
                             std::min(kSumDepth, used - r), tile.data(), lanes);
        const std::int64_t columns = std::min(lanes, k_count - b * lanes);
        for (std::int64_t i = 0; i < count; ++i)
          for (std::int64_t j = 0; j < columns; ++j)
            sums[(first + i) * k_count + b * lanes + j] +=
                static_cast<double>(tile[static_cast<std::size_t>(i * lanes + j)]);
      }
  });
}

}  // namespace fastrfm
