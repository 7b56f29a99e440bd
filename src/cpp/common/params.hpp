// The numbers that name a kernel, and what every tier derives from them.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "inline.hpp"

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

// Everything a tile needs. Coordinates are scaled, u = scale (x~ - z~), to about a bandwidth: squares
// then neither overflow nor vanish for data of any unit. With S = sum_k weight_k |u_k|^p and
// R = decay S^(q/p), K = exp(-(D / L)^q) = 2^-R, and the gradient is
//   -(q scale ln 2) sum_j coef_j omega_j weight phi(u_j),  omega = K R / S,  phi(u) = sign(u)|u|^(p-1).
//
// The scale and the weights are chosen so that `decay` is 1 and S or its root is the exponent itself:
// the two commonest kinds of R then cost no multiplication, and no rounding of a factor. Coordinates
// that are the caller's own (`plain`, see tile/transform.hpp) are scaled by a power of two, which
// rounds nothing, and the rest of the factor goes into their weights.
template <class T>
struct Law {
  Norm norm;
  Radial radial;
  bool plain;
  double scale;
  double weight_factor;    // of each coordinate's weight; 1 unless plain
  double gradient_factor;  // -(q scale ln 2)
  T norm_power;            // p
  T radial_power;          // q / p
  T decay;                 // Radial::power only; 1 for the others
  T cusp;                  // S at or below this contributes no gradient
  T touching;              // fractions of size(x) + size(z) for S, see Trust
  T touching_wide;
  T wide_size;  // from this size on, touching_wide
  T coincident;

  // `full`: whether the root is a full matrix; `few`: at most kDirectCoordinates coordinates.
  Law(const KernelParams& kernel, bool full, bool few) {
    const double p = kernel.norm;
    const double q = kernel.exponent;
    constexpr double log2e = 1.4426950408889634074;
    constexpr double ln2 = 0.69314718055994530942;
    norm = p == 1.0         ? Norm::one
           : p != 2.0       ? Norm::general
           : (few && !full) ? Norm::two_direct
                            : Norm::two;
    plain = !full && norm != Norm::two;
    // A small q would need a scale far from a bandwidth; it keeps its factor.
    const bool keeps_decay = (q != p && 2.0 * q != p) || (!plain && q < 0.5);
    radial = keeps_decay ? Radial::power : (q == p ? Radial::identity : Radial::square_root);
    // Lengths in this unit make R = S^(q/p); a factor keeps any unit near a bandwidth.
    const double unit = std::pow(log2e, keeps_decay ? 1.0 : 1.0 / q);
    scale = plain ? std::exp2(-std::round(std::log2(kernel.bandwidth))) : unit / kernel.bandwidth;
    const double bandwidth = scale * kernel.bandwidth;
    const double exact_decay = log2e / std::pow(bandwidth, q);
    weight_factor = 1.0;
    decay = T(1);
    if (radial == Radial::power)
      decay = static_cast<T>(exact_decay);
    else if (plain)
      weight_factor = radial == Radial::identity ? exact_decay : exact_decay * exact_decay;
    gradient_factor = -q * scale * ln2;
    norm_power = static_cast<T>(p);
    radial_power = static_cast<T>(q / p);
    cusp = static_cast<T>(weight_factor * std::pow(bandwidth * kCuspDistance, p));
    // Sizes are |x|_p^p, so a fraction of the distance becomes its p-th power.
    touching = static_cast<T>(std::pow(Trust<T>::touching, p));
    touching_wide = static_cast<T>(std::pow(Trust<T>::touching_wide, p));
    wide_size = static_cast<T>(std::pow(Trust<T>::touching_length, p));
    coincident = static_cast<T>(std::pow(Trust<T>::coincident, p));
  }

  // The fractions for a tile, from the largest size in it.
  FASTRFM_INLINE T near(T largest) const {
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

  FASTRFM_INLINE T touching_within(T largest) const {
    return largest < wide_size ? touching : touching_wide;
  }
};

}  // namespace fastrfm
