// The caller's points in the kernel's coordinates, on the device: mirrors src/cpp/tile/transform.hpp
// and panels.hpp, where the whys of centring, plain coordinates and rests are told.
//
// Packed points lie coordinate by coordinate, coordinates[k * stride + i], so that both operands of
// a tile load 16 bytes wide and coalesced. The stride is a multiple of every tile's side; points
// beyond the last are zeros of size zero.
#pragma once

#include <cstdint>

#include "../cpp/common/params.hpp"
#include "../cpp/common/root.hpp"
#include "../cpp/common/source.hpp"
#include "device.hpp"

namespace fastrfm::cuda {

inline constexpr std::int64_t kPointPadding = 128;

// A kernel and a metric, as kernels on the device see them.
template <class T>
struct Metric {
  Law<T> law;
  Root root;
  std::int64_t features;
  int depth;              // coordinates after the transform
  bool has_rest;          // rounding leaves a rest of each coordinate
  const T* weights;       // of coordinates, for p != 2
  const double* factors;  // identity and diagonal roots: scale times the root
  const double*
      gradients;  // from sums in packed coordinates to gradients, Transform::gradient_factor
};

template <class T>
struct PackedPoints {
  Source source;
  std::int64_t count;
  std::int64_t stride;
  const T* coordinates;
  const T* rest;   // what rounding left of the coordinates, laid out alike; null without rests
  const T* sizes;  // |x|_p^p in packed coordinates, stride of them
};

template <class T>
Metric<T> make_metric(const KernelParams& kernel, const Root& root, std::int64_t features,
                      const Device& device);

// The point that coordinates are taken from, `features` numbers: src/cpp's central_point.
const double* central_point(const Source& points, const Device& device);

template <class T>
PackedPoints<T> pack_points(const Source& points, const Metric<T>& metric, const double* centre,
                            const Device& device);

// Columns of a row-major rows x columns matrix one after another, out[l * stride + i], with zeros
// from row `rows` to `stride`.
template <class T>
const T* pack_columns(const T* matrix, std::int64_t rows, std::int64_t columns, std::int64_t stride,
                      const Device& device);

}  // namespace fastrfm::cuda
