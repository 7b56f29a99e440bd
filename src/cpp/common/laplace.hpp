// The kernel's scalar mathematics, once, for every backend: plain numbers, SIMD vectors, CUDA.
//
//   K      = 2^-R,  R = decay S^(q/p),  S = sum_k weight_k |u_k|^p   (Laplace: p = 2, q = 1)
//   omega  = K R / S                                     (weight of a pair in the gradient)
//   phi(u) = sign(u) |u|^(p-1), phi(0) = 0               (per coordinate)
//
// in coordinates scaled as params.hpp says, where decay is 1 but for q/p other than 1 and 1/2. At
// S <= cusp the pair contributes no gradient (DESIGN: the kernel has a cusp at D = 0), which also
// keeps a training row from seeing itself.
// Source: Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024, doi 10.1126/science.adi5639,
// generalised to ||.||_p and exponent q as in xRFM, arXiv 2508.10053.
//
// V is float, double or a vector of them; the operations come from the overloads of V.
#pragma once

#include <cmath>

#include "inline.hpp"
#include "params.hpp"

namespace fastrfm {

// Plain numbers' overloads of the vector operations used below.
FASTRFM_INLINE float square_root(float x) { return sqrtf(x); }
FASTRFM_INLINE double square_root(double x) { return sqrt(x); }
FASTRFM_INLINE float inverse_square_root(float x) { return 1.0F / sqrtf(x); }
FASTRFM_INLINE double inverse_square_root(double x) { return 1.0 / sqrt(x); }
// The root of a positive number that is neither zero nor infinite, and its inverse.
FASTRFM_INLINE void positive_roots(float x, float& root, float& inverse) {
#if defined(__CUDA_ARCH__)
  // One special-function instruction, within 2 ulp; a correctly rounded root takes eight more.
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(x));
  root = x * inverse;
#else
  root = sqrtf(x);
  inverse = 1.0F / root;
#endif
}
FASTRFM_INLINE void positive_roots(double x, double& root, double& inverse) {
  root = sqrt(x);
  inverse = 1.0 / root;
}
// 2^-r for r >= 0; may be zero where a float would be subnormal.
FASTRFM_INLINE float exp2_negative(float r) {
#if defined(__CUDA_ARCH__)
  float value;  // exp2f's three more instructions are for subnormal results alone
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(-r));
  return value;
#else
  return exp2f(-r);
#endif
}
FASTRFM_INLINE double exp2_negative(double r) { return exp2(-r); }
FASTRFM_INLINE float positive_power(float x, float a) {
#if defined(__CUDA_ARCH__)
  // powf keeps 60 instructions for the last bits of results that no exponential here can tell apart:
  // the error of this, relative, is 1e-7 times the logarithm of the result.
  return x > 0.0F ? exp2f(a * log2f(x)) : 0.0F;
#else
  return x > 0.0F ? powf(x, a) : 0.0F;
#endif
}
FASTRFM_INLINE double positive_power(double x, double a) { return x > 0.0 ? pow(x, a) : 0.0; }
FASTRFM_INLINE float absolute(float x) { return fabsf(x); }
FASTRFM_INLINE double absolute(double x) { return fabs(x); }
FASTRFM_INLINE float with_sign_of(float magnitude, float x) {
  return x == 0.0F ? 0.0F : copysignf(magnitude, x);
}
FASTRFM_INLINE double with_sign_of(double magnitude, double x) {
  return x == 0.0 ? 0.0 : copysign(magnitude, x);
}
FASTRFM_INLINE float zero_unless_above(float x, float limit, float value) {
  return x > limit ? value : 0.0F;
}
FASTRFM_INLINE double zero_unless_above(double x, double limit, double value) {
  return x > limit ? value : 0.0;
}

// |u|^p
template <Norm N, class V>
FASTRFM_INLINE V coordinate_distance(V u, V p) {
  if constexpr (N == Norm::two || N == Norm::two_direct) {
    return u * u;
  } else if constexpr (N == Norm::one) {
    return absolute(u);
  } else {
    return positive_power(absolute(u), p);
  }
}

// sign(u) |u|^(p-1); phi(0) = 0 for every p, also below 1 where the limit does not exist.
template <Norm N, class V>
FASTRFM_INLINE V coordinate_gradient(V u, V p, V one) {
  if constexpr (N == Norm::two || N == Norm::two_direct) {
    return u;
  } else if constexpr (N == Norm::one) {
    return with_sign_of(one, u);
  } else {
    return with_sign_of(positive_power(absolute(u), p - one), u);
  }
}

// K from S. `Positive`: S is known to be neither zero nor infinite nor NaN.
template <Radial R, bool Positive = false, class V>
FASTRFM_INLINE V kernel_value(V s, V radial_power, V decay) {
  if constexpr (R == Radial::identity) {
    return exp2_negative(s);
  } else if constexpr (R == Radial::power) {
    return exp2_negative(decay * positive_power(s, radial_power));
  } else if constexpr (Positive) {
    V root;
    V inverse;
    positive_roots(s, root, inverse);
    return exp2_negative(root);
  } else {
    return exp2_negative(square_root(s));
  }
}

// omega from S; zero at the cusp. `Positive`: S is known to lie above it, and not to be infinite.
template <Radial R, bool Positive = false, class V>
FASTRFM_INLINE V gradient_weight(V s, V radial_power, V decay, V cusp) {
  if constexpr (R == Radial::power) {
    const V r = decay * positive_power(s, radial_power);
    return zero_unless_above(s, cusp, exp2_negative(r) * (r / s));
  } else if constexpr (Positive && R == Radial::identity) {
    return exp2_negative(s);
  } else if constexpr (Positive) {
    V root;
    V inverse;
    positive_roots(s, root, inverse);
    return exp2_negative(root) * inverse;
  } else if constexpr (R == Radial::identity) {
    return zero_unless_above(s, cusp, exp2_negative(s));
  } else {
    const V inverse = inverse_square_root(s);
    return zero_unless_above(s, cusp, exp2_negative(s * inverse) * inverse);
  }
}

}  // namespace fastrfm
