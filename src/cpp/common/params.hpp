// The numbers that name a kernel, and what every tier derives from them.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace fastrfm {

// K(x, z) = exp(-(||x~ - z~||_norm / bandwidth)^exponent), 0 < exponent <= norm <= 2.
struct KernelParams {
  double norm = 2.0;
  double exponent = 1.0;
  double bandwidth = 10.0;
};

// Which sum of the coordinate differences u measures a pair: S = sum_k |u_k|^norm. `two` takes it from
// |x|^2 + |z|^2 - 2 x.z, the others from the differences themselves.
enum class Norm : int { two = 0, two_direct = 1, one = 2, general = 3 };

// How R = D^exponent follows from S = D^norm: R = S^(exponent / norm).
enum class Radial : int { identity = 0, square_root = 1, power = 2 };

inline constexpr int kNorms = 4;
inline constexpr int kRadials = 3;

// Pairs at or below this many bandwidths contribute no gradient: the kernel has a cusp at zero.
// 1e-10 is the threshold of the original RFM code, there in absolute units.
inline constexpr double kCuspDistance = 1e-10;

// Euclidean distances over this many coordinates or fewer are summed from differences: two
// operations a coordinate instead of one, but nothing cancels, and with so few coordinates many pairs
// are close.
inline constexpr int kDirectCoordinates = 4;

// When a computed S is not trusted, per floating-point type. Sizes are |x|^2 in bandwidths squared,
// `size` is that of both rows together.
//
// `near`: |x|^2 + |z|^2 - 2 x.z carries an error of about eps * size. Pairs with S below near * size
// are recomputed from differences of the packed coordinates. `near_narrow` keeps the distance within
// 1e-4 (float) or 1e-10 (double), relatively. K has an error of eps * size / (2 sqrt(S)) bandwidths,
// e^-R of it: where rows are many bandwidths long the factor grows with `near_growth` up to
// `near_wide`, which keeps K within 1e-6 (float) whatever the bandwidth.
// `touching`: packed coordinates are centred, transformed and rounded, so their differences carry an
// error of eps * sqrt(size). Pairs with a distance below touching * sqrt(size) are recomputed with what
// rounding the coordinates left (float), or in double from the rows as the caller gave them (double);
// `touching_wide` where sqrt(size) exceeds `touching_length`.
// `coincident`: coordinates and their rests are good to 2^-48; closer pairs than this fraction of
// sqrt(size) are recomputed from the rows in any case.
template <class T>
struct Trust;
template <>
struct Trust<float> {
  static constexpr double near_narrow = 4e-3;
  static constexpr double near_growth = 4e-3;
  static constexpr double near_wide = 4e-2;
  static constexpr double touching = 2e-3;
  static constexpr double touching_wide = 2e-2;
  static constexpr double touching_length = 4.0;
  static constexpr double coincident = 1e-9;
};
template <>
struct Trust<double> {
  static constexpr double near_narrow = 1e-5;
  static constexpr double near_growth = 0.0;
  static constexpr double near_wide = 1e-5;
  static constexpr double touching = 1e-5;
  static constexpr double touching_wide = 1e-5;
  static constexpr double touching_length = 4.0;
  static constexpr double coincident = 1e-5;  // there are no rests
};

// Everything a tile needs. Coordinates are scaled by a power of two, so without rounding, to about a
// bandwidth: u = scale (x~ - z~), L' = scale L in [0.7, 1.5). Squares then neither overflow nor vanish
// for data of any unit. With S = sum_k |u_k|^p and R = S^(q/p):
//   K = exp(-R / L'^q) = 2^(-decay R),  and the gradient is
//   -(q scale / L'^q) sum_j coef_j omega_j phi(u_j),  omega = K R / S,  phi(u) = sign(u)|u|^(p-1).
template <class T>
struct Law {
  Norm norm;
  Radial radial;
  double scale;
  double gradient_factor;
  T norm_power;    // p
  T radial_power;  // q / p
  T decay;         // log2(e) / L'^q
  T decay_rest;    // what its rounding left: K keeps its relative accuracy where it is small
  T cusp;          // S at or below this contributes no gradient
  T touching;      // fractions of size(x) + size(z) for S, see Trust
  T touching_wide;
  T wide_size;  // from this size on, touching_wide
  T coincident;

  // `direct`: whether Euclidean distances are summed from differences.
  Law(const KernelParams& kernel, bool direct) {
    const double p = kernel.norm;
    const double q = kernel.exponent;
    constexpr double log2e = 1.4426950408889634074;
    norm = p == 1.0 ? Norm::one : p != 2.0 ? Norm::general : direct ? Norm::two_direct : Norm::two;
    radial = q == p ? Radial::identity : (2.0 * q == p ? Radial::square_root : Radial::power);
    scale = std::exp2(-std::round(std::log2(kernel.bandwidth)));
    const double bandwidth = scale * kernel.bandwidth;
    const double exact_decay = log2e / std::pow(bandwidth, q);
    gradient_factor = -q * scale / std::pow(bandwidth, q);
    norm_power = static_cast<T>(p);
    radial_power = static_cast<T>(q / p);
    decay = static_cast<T>(exact_decay);
    decay_rest = static_cast<T>(exact_decay - static_cast<double>(decay));
    cusp = static_cast<T>(std::pow(bandwidth * kCuspDistance, p));
    // Sizes are |x|_p^p, so a fraction of the distance becomes its p-th power.
    touching = static_cast<T>(std::pow(Trust<T>::touching, p));
    touching_wide = static_cast<T>(std::pow(Trust<T>::touching_wide, p));
    wide_size = static_cast<T>(std::pow(Trust<T>::touching_length, p));
    coincident = static_cast<T>(std::pow(Trust<T>::coincident, p));
  }

  // The fractions for a tile, from the largest size in it.
  T near(T largest) const {
    const T grown = static_cast<T>(Trust<T>::near_growth) * largest;
    const T narrow = static_cast<T>(Trust<T>::near_narrow);
    const T wide = static_cast<T>(Trust<T>::near_wide);
    return grown < narrow ? narrow : (grown < wide ? grown : wide);
  }
  // Rough count of operations for one pair, for planning.
  double operations(std::int64_t coordinates) const {
    const double each = norm == Norm::general ? 40.0 : 3.0;
    return each * static_cast<double>(coordinates) + 30.0;
  }

  T touching_within(T largest) const { return largest < wide_size ? touching : touching_wide; }
};

}  // namespace fastrfm
