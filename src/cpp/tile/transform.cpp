#include "transform.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "../common/far_points.hpp"
#include "../common/laplace.hpp"

namespace fastrfm {

std::vector<double> central_point(const Source& points) {
  const std::int64_t rows = std::min(points.rows, kCentralRows);
  const auto d = static_cast<std::size_t>(points.features);
  std::vector<double> columns(d * static_cast<std::size_t>(rows));
  for (std::int64_t r = 0; r < rows; ++r)
    points.for_each_feature(r * points.rows / rows, [&](std::int64_t k, double value) {
      columns[static_cast<std::size_t>(k * rows + r)] = value;
    });
  std::vector<double> centre(d);
  for (std::size_t k = 0; k < d; ++k) {
    const auto begin = columns.begin() + static_cast<std::ptrdiff_t>(k) * rows;
    const auto middle = begin + rows / 2;
    std::nth_element(begin, middle, begin + rows);
    centre[k] = *middle;
  }
  return centre;
}

template <class T>
Transform<T>::Transform(const Law<T>& law, const Root& root, std::int64_t features,
                        std::vector<double> centre)
    : law_(law),
      kind_(root.kind),
      plain_(law.plain),
      features_(features),
      depth_(root.kind == Root::Kind::full ? root.rank : features),
      centre_(std::move(centre)) {
  gradient_factors_.assign(static_cast<std::size_t>(depth_), law.gradient_factor);
  weights_.assign(static_cast<std::size_t>(depth_), T(1));
  if (kind_ != Root::Kind::full) {
    const auto p = static_cast<double>(law.norm_power);
    factors_.assign(static_cast<std::size_t>(features), law.scale);
    for (std::size_t k = 0; k < factors_.size(); ++k) {
      const double a = kind_ == Root::Kind::diagonal ? root.data[k] : 1.0;
      factors_[k] *= a;
      // Input space: the root once more. Plain coordinates: phi(a u) = a^(p-1) phi(u), so a^p.
      const double weight = law.weight_factor * std::pow(a, p);
      gradient_factors_[k] *= plain_ ? weight : a;
      if (plain_) weights_[k] = static_cast<T>(weight);
    }
    return;
  }
  const Level<T>& lv = level<T>();
  const std::int64_t group = lv.tile_rows;
  root_.resize(static_cast<std::size_t>(features * depth_));
  root_groups_ = Buffer<double>(round_up(depth_, group) * features);
  root_groups_.clear();
  input_groups_ = Buffer<T>(round_up(features, group) * depth_);
  input_groups_.clear();
  for (std::int64_t f = 0; f < features; ++f)
    for (std::int64_t k = 0; k < depth_; ++k) {
      const double a = root.data[f * depth_ + k];
      root_[static_cast<std::size_t>(f * depth_ + k)] = law.scale * a;
      root_groups_[(k / group * features + f) * group + k % group] = a;
      input_groups_[(f / group * depth_ + k) * group + f % group] = static_cast<T>(a);
    }
}

template <class T>
void Transform<T>::lane_panel(const Source& points, std::int64_t first, double* work, T* panel,
                              T* rest) const {
  // In double a panel of the level has other lanes: as many panels as make the same points.
  const Level<double>& wide = level<double>();
  const std::int64_t lanes = level<T>().lanes;
  const std::int64_t part = wide.lanes;
  const std::int64_t count = std::min(lanes, points.rows - first);
  const bool is_full = full();
  const auto place = [part](std::int64_t coordinates, std::int64_t k, std::int64_t lane) {
    return (lane / part * coordinates + k) * part + lane % part;
  };
  for (std::int64_t lane = 0; lane < lanes; ++lane) {
    if (lane >= count) {
      for (std::int64_t k = 0; k < features_; ++k) work[place(features_, k, lane)] = 0.0;
      continue;
    }
    double largest = 0.0;
    points.for_each_feature(first + lane, [&](std::int64_t k, double value) {
      double v = value * law_.scale;
      if (!plain_)
        v = (value - centre_[static_cast<std::size_t>(k)]) *
            (is_full ? law_.scale : factors_[static_cast<std::size_t>(k)]);
      largest = std::max(largest, std::abs(v));
      work[place(features_, k, lane)] = v;
    });
    if (largest > kFarthest<T>) {
      constexpr double most = std::numeric_limits<double>::max();
      const double draw_in = kFarthest<T> / std::min(largest, most);
      for (std::int64_t k = 0; k < features_; ++k) {
        double& v = work[place(features_, k, lane)];
        v = std::clamp(v, -most, most) * draw_in;
      }
    }
  }
  const double* from = work;
  if (is_full) {
    double* to = work + features_ * lanes;
    std::fill(to, to + depth_ * lanes, 0.0);
    const std::int64_t group = wide.tile_rows;
    for (std::int64_t p = 0; p * part < count; ++p)
      for (std::int64_t k = 0; k < depth_; k += group)
        wide.accumulate[std::min(group, depth_ - k)](root_groups_.data() + k * features_, group,
                                                     work + p * features_ * part, features_,
                                                     to + (p * depth_ + k) * part, part);
    from = to;
  }
  for (std::int64_t k = 0; k < depth_; ++k)
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const double v = from[place(depth_, k, lane)];
      const T rounded = static_cast<T>(v);
      panel[k * lanes + lane] = rounded;
      if (rest != nullptr)
        rest[k * lanes + lane] = static_cast<T>(v - static_cast<double>(rounded));
    }
}

template <class T>
double Transform<T>::exact_pair(const Source& x, std::int64_t i, const Source& z, std::int64_t j,
                                std::vector<double>& work, double* u) const {
  const auto d = static_cast<std::size_t>(features_);
  const auto k_count = static_cast<std::size_t>(depth_);
  work.resize(d + k_count);
  double* difference = work.data();
  x.for_each_feature(i, [&](std::int64_t k, double value) { difference[k] = value; });
  bool same = true;
  z.for_each_feature(j, [&](std::int64_t k, double value) {
    difference[k] -= value;
    same = same && difference[k] == 0.0;
  });
  double* transformed = work.data() + d;
  std::fill(transformed, transformed + k_count, 0.0);
  if (!same) {
    if (kind_ == Root::Kind::full) {
      for (std::size_t f = 0; f < d; ++f) {
        const double v = difference[f];
        if (v == 0.0) continue;
        const double* row = root_.data() + f * k_count;
        for (std::size_t k = 0; k < k_count; ++k) transformed[k] += v * row[k];
      }
    } else {
      for (std::size_t k = 0; k < d; ++k) transformed[k] = difference[k] * factors_[k];
    }
  }
  if (u != nullptr) {
    for (std::size_t k = 0; k < k_count; ++k)
      u[k] = plain_ ? difference[k] * law_.scale : transformed[k];
  }
  if (same) return 0.0;
  double sum = 0.0;
  const auto p = static_cast<double>(law_.norm_power);
  switch (law_.norm) {
    case Norm::two:
    case Norm::two_direct:
      for (std::size_t k = 0; k < k_count; ++k)
        sum += coordinate_distance<Norm::two>(transformed[k], p);
      break;
    case Norm::one:
      for (std::size_t k = 0; k < k_count; ++k)
        sum += coordinate_distance<Norm::one>(transformed[k], p);
      break;
    case Norm::general:
      for (std::size_t k = 0; k < k_count; ++k)
        sum += coordinate_distance<Norm::general>(transformed[k], p);
      break;
  }
  return law_.weight_factor * sum;
}

template <class T>
void Transform<T>::to_input_space(const T* g, T* out) const {
  const Level<T>& lv = level<T>();
  const std::int64_t lanes = lv.lanes;
  if (kind_ != Root::Kind::full) {
    for (std::int64_t k = 0; k < features_; ++k) {
      const auto factor = static_cast<T>(gradient_factor(k));
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        out[k * lanes + lane] = factor * g[k * lanes + lane];
    }
    return;
  }
  const std::int64_t group = lv.tile_rows;
  std::fill(out, out + features_ * lanes, T(0));
  for (std::int64_t f = 0; f < features_; f += group) {
    const std::int64_t rows = std::min(group, features_ - f);
    lv.accumulate[rows](input_groups_.data() + f * depth_, group, g, depth_, out + f * lanes,
                        lanes);
  }
  const auto factor = static_cast<T>(law_.gradient_factor);
  for (std::int64_t e = 0; e < features_ * lanes; ++e) out[e] *= factor;
}

template class Transform<float>;
template class Transform<double>;

}  // namespace fastrfm
