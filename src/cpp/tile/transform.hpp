// x~ = A^T (x - centre) * scale: the caller's points in the kernel's coordinates.
//
// `root` is the square root A of the metric M = A A^T: none (identity), a diagonal, or d x k.
// Centring changes no distance and keeps |x|^2 + |z|^2 - 2 x.z from cancelling for data far from
// the origin; `scale` is the law's (common/params.hpp).
//
// Where the differences themselves are summed (p != 2, or few coordinates: Norm::two_direct) and the
// root is the identity or diagonal, the coordinates stay as given but for a scale that is a power of
// two ("plain"), and the root goes into weights: S = sum_k weight_k |u_k|^p. The difference of two given numbers is
// correctly rounded, so no distance cancels, and phi(u), which jumps (p = 1) or diverges (p < 1) at zero, never sees a wrong
// sign of a near-tie.
#pragma once

#include <cstdint>
#include <vector>

#include "../common/buffer.hpp"
#include "../common/interrupt.hpp"
#include "../common/root.hpp"
#include "../common/source.hpp"
#include "level.hpp"

namespace fastrfm {

// A point in the middle of the data: the median of each feature over some rows. The mean would do
// for most data, but one row far off (a code for a missing value, say) would carry it away from all
// the others.
std::vector<double> central_point(const Source& points);

// The law of a kernel for points under a root.
template <class T>
Law<T> law_for(const KernelParams& kernel, const Root& root, std::int64_t features) {
  return Law<T>(kernel, root.kind == Root::Kind::full, features <= kDirectCoordinates);
}

template <class T>
class Transform {
 public:
  Transform(const Law<T>& law, const Root& root, std::int64_t features, std::vector<double> centre);

  std::int64_t features() const { return features_; }
  std::int64_t depth() const { return depth_; }  // coordinates after the transform
  bool plain() const { return plain_; }
  const T* coordinate_weights() const { return weights_.data(); }  // depth numbers, for p != 2
  bool full() const { return kind_ == Root::Kind::full; }
  // Factor from sums of coef omega phi(u) in panel coordinates to gradients: in input space, or,
  // for a full root, in the root's coordinates.
  double gradient_factor(std::int64_t k) const {
    return gradient_factors_[static_cast<std::size_t>(k)];
  }

  // Whether rounding a coordinate leaves a rest worth keeping: float32, unless coordinates are plain.
  bool has_rest() const { return sizeof(T) == 4 && !plain_; }

  // Points first .. first + lanes of `points` as a lane panel (zeros beyond the last row), and what
  // rounding left of its coordinates if `rest` is given. The transform is done in double: features
  // that nearly cancel in x~ would leave nothing of it in float. `work`: work_size() numbers.
  void lane_panel(const Source& points, std::int64_t first, double* work, T* panel, T* rest) const;
  std::int64_t work_size() const { return (features_ + depth_) * level<T>().lanes; }

  // Exact S and, if `u` is given, the differences in panel coordinates (depth numbers) of a pair, in
  // double from the rows as given: for pairs whose packed coordinates have lost their difference.
  double exact_pair(const Source& x, std::int64_t i, const Source& z, std::int64_t j,
                    std::vector<double>& work, double* u) const;

  // Input-space gradients from sums in panel coordinates: out[k * lanes + lane], k < features, given
  // g[k * lanes + lane], k < depth.
  void to_input_space(const T* g, T* out) const;

 private:
  Law<T> law_;
  Root::Kind kind_;
  bool plain_;
  std::int64_t features_;
  std::int64_t depth_;
  std::vector<double> centre_;
  std::vector<double> factors_;  // diagonal and identity: scale times the root
  std::vector<double> root_;     // full: scale times A, row-major
  std::vector<T> weights_;
  std::vector<double> gradient_factors_;
  Buffer<double> root_groups_;  // full: A, groups of tile_rows columns, [group][feature][column]
  Buffer<T> input_groups_;      // full: A, groups of features, [group][column][feature]
};

}  // namespace fastrfm
