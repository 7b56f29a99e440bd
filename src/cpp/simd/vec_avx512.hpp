// 512-bit vectors. Needs AVX-512 F, DQ, BW, VL.
#pragma once

// GCC's own AVX-512 header trips its uninitialised-variable warning (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <cstdint>
#include <limits>

#include "../common/laplace.hpp"

namespace fastrfm::avx512 {

template <class T>
struct Vec;
template <>
struct Vec<float> {
  using Native = __m512;
  static constexpr int lanes = 16;
  Native v;
};
template <>
struct Vec<double> {
  using Native = __m512d;
  static constexpr int lanes = 8;
  Native v;
};
struct Mask16 {
  __mmask16 m;
};
struct Mask8 {
  __mmask8 m;
};
using F = Vec<float>;
using D = Vec<double>;

inline constexpr int kTileRows = 12;    // 12 x 2 accumulators, 2 operands, of 32 registers
inline constexpr int kTileVectors = 2;  // vectors a tile row

template <class T>
FASTRFM_INLINE Vec<T> broadcast(T x);
template <>
FASTRFM_INLINE F broadcast<float>(float x) {
  return {_mm512_set1_ps(x)};
}
template <>
FASTRFM_INLINE D broadcast<double>(double x) {
  return {_mm512_set1_pd(x)};
}
FASTRFM_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
FASTRFM_INLINE D load(const double* p) { return {_mm512_loadu_pd(p)}; }
// As many numbers as a vector of doubles has, as doubles.
FASTRFM_INLINE D load_wide(const float* p) { return {_mm512_cvtps_pd(_mm256_loadu_ps(p))}; }
FASTRFM_INLINE D load_wide(const double* p) { return load(p); }
FASTRFM_INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x.v); }
FASTRFM_INLINE void store(double* p, D x) { _mm512_storeu_pd(p, x.v); }
FASTRFM_INLINE void stream(float* p, F x) { _mm512_stream_ps(p, x.v); }
FASTRFM_INLINE void stream(double* p, D x) { _mm512_stream_pd(p, x.v); }
FASTRFM_INLINE void stream_fence() { _mm_sfence(); }

FASTRFM_INLINE F operator+(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
FASTRFM_INLINE D operator+(D a, D b) { return {_mm512_add_pd(a.v, b.v)}; }
FASTRFM_INLINE F operator-(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
FASTRFM_INLINE D operator-(D a, D b) { return {_mm512_sub_pd(a.v, b.v)}; }
FASTRFM_INLINE F operator*(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
FASTRFM_INLINE D operator*(D a, D b) { return {_mm512_mul_pd(a.v, b.v)}; }
FASTRFM_INLINE F operator/(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
FASTRFM_INLINE D operator/(D a, D b) { return {_mm512_div_pd(a.v, b.v)}; }
FASTRFM_INLINE F operator-(F a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0F))}; }
FASTRFM_INLINE D operator-(D a) { return {_mm512_xor_pd(a.v, _mm512_set1_pd(-0.0))}; }
FASTRFM_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
FASTRFM_INLINE D fma(D a, D b, D c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
// high + low = a * n exactly.
template <class T>
FASTRFM_INLINE void exact_product(Vec<T> a, Vec<T> n, Vec<T>& high, Vec<T>& low) {
  high = a * n;
  low = fma(a, n, -high);
}
// A NaN in the first operand gives the second.
FASTRFM_INLINE F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
FASTRFM_INLINE D max(D a, D b) { return {_mm512_max_pd(a.v, b.v)}; }
FASTRFM_INLINE F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
FASTRFM_INLINE D min(D a, D b) { return {_mm512_min_pd(a.v, b.v)}; }
FASTRFM_INLINE F absolute(F a) { return {_mm512_abs_ps(a.v)}; }
FASTRFM_INLINE D absolute(D a) { return {_mm512_abs_pd(a.v)}; }
FASTRFM_INLINE F nearest(F a) { return {_mm512_roundscale_ps(a.v, 0)}; }
FASTRFM_INLINE D nearest(D a) { return {_mm512_roundscale_pd(a.v, 0)}; }
FASTRFM_INLINE F scale_by_power_of_two(F a, F n) { return {_mm512_scalef_ps(a.v, n.v)}; }
FASTRFM_INLINE D scale_by_power_of_two(D a, D n) { return {_mm512_scalef_pd(a.v, n.v)}; }

FASTRFM_INLINE Mask16 operator>(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
FASTRFM_INLINE Mask8 operator>(D a, D b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_GT_OQ)}; }
FASTRFM_INLINE Mask16 operator<(F a, F b) { return b > a; }
FASTRFM_INLINE Mask8 operator<(D a, D b) { return b > a; }
FASTRFM_INLINE Mask16 operator>=(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
FASTRFM_INLINE Mask8 operator>=(D a, D b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_GE_OQ)}; }
FASTRFM_INLINE Mask16 operator&(Mask16 a, Mask16 b) { return {_kand_mask16(a.m, b.m)}; }
FASTRFM_INLINE Mask8 operator&(Mask8 a, Mask8 b) { return {_kand_mask8(a.m, b.m)}; }
FASTRFM_INLINE unsigned bits(Mask16 a) { return a.m; }
FASTRFM_INLINE unsigned bits(Mask8 a) { return a.m; }
FASTRFM_INLINE F select(Mask16 m, F a, F b) { return {_mm512_mask_blend_ps(m.m, b.v, a.v)}; }
FASTRFM_INLINE D select(Mask8 m, D a, D b) { return {_mm512_mask_blend_pd(m.m, b.v, a.v)}; }

FASTRFM_INLINE F add_where(Mask16 m, F a, F b) { return {_mm512_mask_add_ps(a.v, m.m, a.v, b.v)}; }
FASTRFM_INLINE D add_where(Mask8 m, D a, D b) { return {_mm512_mask_add_pd(a.v, m.m, a.v, b.v)}; }
FASTRFM_INLINE F subtract_where(Mask16 m, F a, F b) {
  return {_mm512_mask_sub_ps(a.v, m.m, a.v, b.v)};
}
FASTRFM_INLINE D subtract_where(Mask8 m, D a, D b) {
  return {_mm512_mask_sub_pd(a.v, m.m, a.v, b.v)};
}

// x = mantissa * 2^exponent, mantissa in [0.75, 1.5), for positive normal x.
FASTRFM_INLINE void split_exponent(F x, F& mantissa, F& exponent) {
  mantissa = {_mm512_getmant_ps(x.v, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero)};
  exponent = {_mm512_sub_ps(_mm512_getexp_ps(x.v), _mm512_getexp_ps(mantissa.v))};
}
FASTRFM_INLINE void split_exponent(D x, D& mantissa, D& exponent) {
  mantissa = {_mm512_getmant_pd(x.v, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero)};
  exponent = {_mm512_sub_pd(_mm512_getexp_pd(x.v), _mm512_getexp_pd(mantissa.v))};
}

// 14 bits and one Newton step: within 2 ulp, at a third of the cost of sqrt and a division.
FASTRFM_INLINE F inverse_square_root(F x) {
  const F r = {_mm512_rsqrt14_ps(x.v)};
  const F half_xr = broadcast(0.5F) * x * r;
  return r * (broadcast(1.5F) - half_xr * r);
}
FASTRFM_INLINE F square_root(F x) {
  // Held inside the range where the reciprocal root neither overflows nor vanishes; a NaN becomes
  // the lower end. 1e-36 and below give K = 1, 1e30 and above give K = 0, as they should.
  const F held = min(max(x, broadcast(1e-36F)), broadcast(1e30F));
  return held * inverse_square_root(held);
}
// One Newton step for the root and one for its inverse, from the same residual.
FASTRFM_INLINE void positive_roots(F x, F& root, F& inverse) {
  const F r = {_mm512_rsqrt14_ps(x.v)};
  const F y = x * r;
  const F half_error = fma(broadcast(-0.5F) * y, r, broadcast(0.5F));
  root = fma(y, half_error, y);
  inverse = fma(r, half_error, r);
}
FASTRFM_INLINE D square_root(D x) { return {_mm512_sqrt_pd(x.v)}; }
FASTRFM_INLINE D inverse_square_root(D x) { return broadcast(1.0) / square_root(x); }

// 2^-t = 2^n 2^(j/16) 2^-g with t = -(n + j/16) + g, |g| <= 1/32: one permutation finds 2^(j/16), and
// three terms are left of the polynomial. Within 1.5 ulp. See vec_math.hpp for what it promises.
FASTRFM_INLINE F exp2_negative(F exponent) {
  // Bits of 2^(j/16) less j << 19, which adding the rounded exponent's bits puts back.
  const __m512i table =
      _mm512_setr_epi32(0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532,
                        0x3f75fed7, 0x3f75583f, 0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c,
                        0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d);
  const F limit = broadcast(126.0F);
  const F t = min(exponent, limit);
  // Numbers from 2^19 to 2^20 have a last bit of 1/16: adding 1.5 x 2^19 rounds to that, and leaves
  // 16 n + j in the low bits.
  const F round = broadcast(786432.0F);
  const F rounded = round - t;
  const F g = t + (rounded - round);
  const __m512i bits = _mm512_castps_si512(rounded.v);
  const __m512i base =
      _mm512_add_epi32(_mm512_permutexvar_epi32(bits, table), _mm512_slli_epi32(bits, 19));
  const F power = {_mm512_castsi512_ps(base)};
  // (2^-g - 1) / g, near-minimax; 2^-0 is exactly 1.
  const F p =
      fma(fma(broadcast(-0.0555054098F), g, broadcast(0.240233555F)), g, broadcast(-0.693147182F));
  const F value = fma(power * g, p, power);
  return {_mm512_maskz_mov_ps((t < limit).m, value.v)};
}

// 16 x 16 floats: quarters of four rows are gathered into one vector by masked broadcasts, which cost
// loads only, and each 4 x 4 part of it is transposed in place: half the permutations of exchanging
// whole rows.
FASTRFM_INLINE void transpose_tile(const float* src, std::int64_t src_stride, float* dst,
                                   std::int64_t dst_stride) {
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    __m512 v[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const float* from = src + j * src_stride + 4 * q;
      v[j] = _mm512_broadcast_f32x4(_mm_loadu_ps(from));
      v[j] = _mm512_mask_broadcast_f32x4(v[j], 0x00f0, _mm_loadu_ps(from + 4 * src_stride));
      v[j] = _mm512_mask_broadcast_f32x4(v[j], 0x0f00, _mm_loadu_ps(from + 8 * src_stride));
      v[j] = _mm512_mask_broadcast_f32x4(v[j], 0xf000, _mm_loadu_ps(from + 12 * src_stride));
    }
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(v[0], v[1]));
    const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(v[0], v[1]));
    const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(v[2], v[3]));
    const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(v[2], v[3]));
    float* to = dst + 4 * q * dst_stride;
    _mm512_storeu_ps(to, _mm512_castpd_ps(_mm512_unpacklo_pd(a, c)));
    _mm512_storeu_ps(to + dst_stride, _mm512_castpd_ps(_mm512_unpackhi_pd(a, c)));
    _mm512_storeu_ps(to + 2 * dst_stride, _mm512_castpd_ps(_mm512_unpacklo_pd(b, d)));
    _mm512_storeu_ps(to + 3 * dst_stride, _mm512_castpd_ps(_mm512_unpackhi_pd(b, d)));
  }
}

#include "vec_math.hpp"

}  // namespace fastrfm::avx512
