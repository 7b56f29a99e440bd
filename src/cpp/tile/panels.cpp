#include "panels.hpp"

#include <algorithm>
#include <cmath>

#include "../common/laplace.hpp"
#include "../common/parallel.hpp"

namespace fastrfm {
namespace {

template <Norm N, class T>
void add_sizes(const T* panel, std::int64_t depth, std::int64_t lanes, double p, double* sums) {
  for (std::int64_t k = 0; k < depth; ++k)
    for (std::int64_t lane = 0; lane < lanes; ++lane)
      sums[lane] += coordinate_distance<N>(static_cast<double>(panel[k * lanes + lane]), p);
}

// Whether padding points get a positive or a negative huge size, see panel_sizes.
template <class T>
T padding_size(const Law<T>& law) {
  return law.norm == Norm::two ? T(1e30) : T(-1e30);
}

// Largest size of each `width` points of `count`.
template <class T>
std::vector<T> largest_sizes(const Buffer<T>& sizes, std::int64_t count, std::int64_t width) {
  std::vector<T> largest(static_cast<std::size_t>(ceil_div(count, width)), T(0));
  for (std::int64_t i = 0; i < count; ++i) {
    T& value = largest[static_cast<std::size_t>(i / width)];
    value = std::max(value, sizes[i]);
  }
  return largest;
}

}  // namespace

template <class T>
void panel_sizes(const Law<T>& law, const Transform<T>& transform, const T* panel,
                 std::int64_t count, T* sizes) {
  const std::int64_t lanes = level<T>().lanes;
  const std::int64_t depth = transform.plain() ? 0 : transform.depth();
  std::vector<double> sums(static_cast<std::size_t>(lanes), 0.0);
  const auto p = static_cast<double>(law.norm_power);
  switch (law.norm) {
    case Norm::two:
    case Norm::two_direct:
      add_sizes<Norm::two>(panel, depth, lanes, p, sums.data());
      break;
    case Norm::one:
      add_sizes<Norm::one>(panel, depth, lanes, p, sums.data());
      break;
    case Norm::general:
      add_sizes<Norm::general>(panel, depth, lanes, p, sums.data());
      break;
  }
  for (std::int64_t lane = 0; lane < lanes; ++lane)
    sizes[lane] =
        lane < count ? static_cast<T>(sums[static_cast<std::size_t>(lane)]) : padding_size(law);
}

template <class T>
PackedPoints<T> pack_points(const Source& points, const Law<T>& law, const Transform<T>& transform,
                            Forms forms, Interrupt& interrupt) {
  const Level<T>& lv = level<T>();
  const std::int64_t lanes = lv.lanes;
  const std::int64_t rows = lv.tile_rows;
  const std::int64_t depth = transform.depth();
  const std::int64_t n = points.rows;

  PackedPoints<T> packed;
  packed.count = n;
  packed.depth = depth;
  const std::int64_t padded_rows = round_up(n, rows);
  const std::int64_t panels = ceil_div(n, lanes);
  if (forms.rows) {
    packed.row_panels = Buffer<T>(padded_rows * depth);
    packed.row_sizes = Buffer<T>(padded_rows);
    if (transform.has_rest()) {
      packed.row_rest = Buffer<T>(padded_rows * depth);
      std::fill(packed.row_rest.data() + (padded_rows - rows) * depth,
                packed.row_rest.data() + padded_rows * depth, T(0));
    }
    // Padding of the last panel; panels of points are filled below.
    const std::int64_t last = padded_rows - rows;
    std::fill(packed.row_panels.data() + last * depth,
              packed.row_panels.data() + padded_rows * depth, T(0));
    std::fill(packed.row_sizes.data() + last, packed.row_sizes.data() + padded_rows,
              padding_size(law));
  }
  if (forms.lanes) {
    packed.lane_panels = Buffer<T>(panels * lanes * depth);
    packed.lane_sizes = Buffer<T>(panels * lanes);
    if (transform.has_rest()) packed.lane_rest = Buffer<T>(panels * lanes * depth);
  }
  if (forms.by_column) {
    packed.columns = depth + 1;
    packed.by_column = Buffer<T>(round_up(packed.columns, rows) * n);
    packed.by_column.clear();
  }

  struct Scratch {
    Buffer<double> work;
    Buffer<T> panel;
    Buffer<T> rest;
    Buffer<T> sizes;
  };
  const auto make_scratch = [&] {
    return Scratch{Buffer<double>(transform.work_size()), Buffer<T>(depth * lanes),
                   Buffer<T>(transform.has_rest() ? depth * lanes : 0), Buffer<T>(lanes)};
  };
  const double operations = static_cast<double>(n) * static_cast<double>(transform.features()) *
                            (transform.full() ? 2.0 * static_cast<double>(depth) : 10.0);
  parallel_tasks(
      panels, operations, interrupt, make_scratch, [&](std::int64_t b, Scratch& scratch, bool) {
        const std::int64_t first = b * lanes;
        const std::int64_t count = std::min(lanes, n - first);
        T* panel = forms.lanes ? packed.lane_panels.data() + first * depth : scratch.panel.data();
        T* sizes = forms.lanes ? packed.lane_sizes.data() + first : scratch.sizes.data();
        T* rest = nullptr;
        if (transform.has_rest())
          rest = forms.lanes ? packed.lane_rest.data() + first * depth : scratch.rest.data();
        transform.lane_panel(points, first, scratch.work.data(), panel, rest);
        panel_sizes(law, transform, panel, count, sizes);
        for (std::int64_t lane = 0; lane < count; ++lane) {
          const std::int64_t i = first + lane;
          if (forms.rows) {
            T* to = packed.row_panels.data() + i / rows * rows * depth + i % rows;
            for (std::int64_t k = 0; k < depth; ++k) to[k * rows] = panel[k * lanes + lane];
            packed.row_sizes[i] = sizes[lane];
            if (rest != nullptr) {
              T* rest_to = packed.row_rest.data() + i / rows * rows * depth + i % rows;
              for (std::int64_t k = 0; k < depth; ++k) rest_to[k * rows] = rest[k * lanes + lane];
            }
          }
          if (forms.by_column) {
            for (std::int64_t k = 0; k < depth; ++k)
              packed.by_column[(k / rows * n + i) * rows + k % rows] = panel[k * lanes + lane];
            packed.by_column[(depth / rows * n + i) * rows + depth % rows] = T(1);
          }
        }
      });
  if (forms.rows) packed.largest_in_rows = largest_sizes(packed.row_sizes, n, rows);
  if (forms.lanes) packed.largest_in_lanes = largest_sizes(packed.lane_sizes, n, lanes);
  return packed;
}

template void panel_sizes(const Law<float>&, const Transform<float>&, const float*, std::int64_t,
                          float*);
template void panel_sizes(const Law<double>&, const Transform<double>&, const double*, std::int64_t,
                          double*);
template PackedPoints<float> pack_points(const Source&, const Law<float>&, const Transform<float>&,
                                         Forms, Interrupt&);
template PackedPoints<double> pack_points(const Source&, const Law<double>&,
                                          const Transform<double>&, Forms, Interrupt&);

}  // namespace fastrfm
