// 256-bit vectors. Needs AVX2 and FMA.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <limits>

#include "../common/laplace.hpp"

namespace fastrfm::avx2 {

template <class T>
struct Vec;
template <>
struct Vec<float> {
  using Native = __m256;
  static constexpr int lanes = 8;
  Native v;
};
template <>
struct Vec<double> {
  using Native = __m256d;
  static constexpr int lanes = 4;
  Native v;
};
// Comparisons give all-ones or all-zeros lanes.
struct MaskF {
  __m256 m;
};
struct MaskD {
  __m256d m;
};
using F = Vec<float>;
using D = Vec<double>;

inline constexpr int kTileRows = 6;     // 6 x 2 accumulators, 2 operands, 1 broadcast of 16
inline constexpr int kTileVectors = 2;  // vectors a tile row

template <class T>
FASTRFM_INLINE Vec<T> broadcast(T x);
template <>
FASTRFM_INLINE F broadcast<float>(float x) {
  return {_mm256_set1_ps(x)};
}
template <>
FASTRFM_INLINE D broadcast<double>(double x) {
  return {_mm256_set1_pd(x)};
}
FASTRFM_INLINE F load(const float* p) { return {_mm256_loadu_ps(p)}; }
FASTRFM_INLINE D load(const double* p) { return {_mm256_loadu_pd(p)}; }
// As many numbers as a vector of doubles has, as doubles.
FASTRFM_INLINE D load_wide(const float* p) { return {_mm256_cvtps_pd(_mm_loadu_ps(p))}; }
FASTRFM_INLINE D load_wide(const double* p) { return load(p); }
FASTRFM_INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x.v); }
FASTRFM_INLINE void store(double* p, D x) { _mm256_storeu_pd(p, x.v); }
FASTRFM_INLINE void stream(float* p, F x) { _mm256_stream_ps(p, x.v); }
FASTRFM_INLINE void stream(double* p, D x) { _mm256_stream_pd(p, x.v); }
FASTRFM_INLINE void stream_fence() { _mm_sfence(); }

FASTRFM_INLINE F operator+(F a, F b) { return {_mm256_add_ps(a.v, b.v)}; }
FASTRFM_INLINE D operator+(D a, D b) { return {_mm256_add_pd(a.v, b.v)}; }
FASTRFM_INLINE F operator-(F a, F b) { return {_mm256_sub_ps(a.v, b.v)}; }
FASTRFM_INLINE D operator-(D a, D b) { return {_mm256_sub_pd(a.v, b.v)}; }
FASTRFM_INLINE F operator*(F a, F b) { return {_mm256_mul_ps(a.v, b.v)}; }
FASTRFM_INLINE D operator*(D a, D b) { return {_mm256_mul_pd(a.v, b.v)}; }
FASTRFM_INLINE F operator/(F a, F b) { return {_mm256_div_ps(a.v, b.v)}; }
FASTRFM_INLINE D operator/(D a, D b) { return {_mm256_div_pd(a.v, b.v)}; }
FASTRFM_INLINE F operator-(F a) { return {_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0F))}; }
FASTRFM_INLINE D operator-(D a) { return {_mm256_xor_pd(a.v, _mm256_set1_pd(-0.0))}; }
FASTRFM_INLINE F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
FASTRFM_INLINE D fma(D a, D b, D c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
// high + low = a * n exactly.
template <class T>
FASTRFM_INLINE void exact_product(Vec<T> a, Vec<T> n, Vec<T>& high, Vec<T>& low) {
  high = a * n;
  low = fma(a, n, -high);
}
// A NaN in the first operand gives the second.
FASTRFM_INLINE F max(F a, F b) { return {_mm256_max_ps(a.v, b.v)}; }
FASTRFM_INLINE D max(D a, D b) { return {_mm256_max_pd(a.v, b.v)}; }
FASTRFM_INLINE F min(F a, F b) { return {_mm256_min_ps(a.v, b.v)}; }
FASTRFM_INLINE D min(D a, D b) { return {_mm256_min_pd(a.v, b.v)}; }
FASTRFM_INLINE F absolute(F a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), a.v)}; }
FASTRFM_INLINE D absolute(D a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v)}; }
FASTRFM_INLINE F nearest(F a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
FASTRFM_INLINE D nearest(D a) {
  return {_mm256_round_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
FASTRFM_INLINE F scale_by_power_of_two(F a, F n) {
  const __m256i e =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23);
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(e))};
}
FASTRFM_INLINE D scale_by_power_of_two(D a, D n) {
  const __m256i e = _mm256_slli_epi64(
      _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n.v)), _mm256_set1_epi64x(1023)),
      52);
  return {_mm256_mul_pd(a.v, _mm256_castsi256_pd(e))};
}

FASTRFM_INLINE MaskF operator>(F a, F b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
FASTRFM_INLINE MaskD operator>(D a, D b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_GT_OQ)}; }
FASTRFM_INLINE MaskF operator<(F a, F b) { return b > a; }
FASTRFM_INLINE MaskD operator<(D a, D b) { return b > a; }
FASTRFM_INLINE MaskF operator>=(F a, F b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
FASTRFM_INLINE MaskD operator>=(D a, D b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_GE_OQ)}; }
FASTRFM_INLINE MaskF operator&(MaskF a, MaskF b) { return {_mm256_and_ps(a.m, b.m)}; }
FASTRFM_INLINE MaskD operator&(MaskD a, MaskD b) { return {_mm256_and_pd(a.m, b.m)}; }
FASTRFM_INLINE unsigned bits(MaskF a) { return static_cast<unsigned>(_mm256_movemask_ps(a.m)); }
FASTRFM_INLINE unsigned bits(MaskD a) { return static_cast<unsigned>(_mm256_movemask_pd(a.m)); }
FASTRFM_INLINE F select(MaskF m, F a, F b) { return {_mm256_blendv_ps(b.v, a.v, m.m)}; }
FASTRFM_INLINE D select(MaskD m, D a, D b) { return {_mm256_blendv_pd(b.v, a.v, m.m)}; }

// x = mantissa * 2^exponent, mantissa in [0.75, 1.5), for positive normal x: the exponent field of
// x / 0.75 is that of the mantissa sought.
FASTRFM_INLINE void split_exponent(F x, F& mantissa, F& exponent) {
  const __m256i bits = _mm256_castps_si256(x.v);
  const __m256i offset = _mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f400000));
  const __m256i e = _mm256_srai_epi32(offset, 23);
  mantissa = {_mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(e, 23)))};
  exponent = {_mm256_cvtepi32_ps(e)};
}
FASTRFM_INLINE void split_exponent(D x, D& mantissa, D& exponent) {
  const __m256i bits = _mm256_castpd_si256(x.v);
  const __m256i offset = _mm256_sub_epi64(bits, _mm256_set1_epi64x(0x3fe8000000000000));
  // No arithmetic 64-bit shift before AVX-512: the field fits the upper 32 bits.
  const __m256i high = _mm256_shuffle_epi32(offset, _MM_SHUFFLE(3, 3, 1, 1));
  const __m256i e32 = _mm256_srai_epi32(high, 20);
  const __m256i e =
      _mm256_blend_epi32(e32, _mm256_srai_epi32(high, 31), 0xaa);  // sign-extended to 64 bits
  mantissa = {_mm256_castsi256_pd(_mm256_sub_epi64(bits, _mm256_slli_epi64(e, 52)))};
  const __m128i packed = _mm256_castsi256_si128(
      _mm256_permutevar8x32_epi32(e32, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6)));
  exponent = {_mm256_cvtepi32_pd(packed)};
}

FASTRFM_INLINE F square_root(F x) { return {_mm256_sqrt_ps(x.v)}; }
FASTRFM_INLINE D square_root(D x) { return {_mm256_sqrt_pd(x.v)}; }
FASTRFM_INLINE F inverse_square_root(F x) { return broadcast(1.0F) / square_root(x); }
FASTRFM_INLINE D inverse_square_root(D x) { return broadcast(1.0) / square_root(x); }

#include "vec_math.hpp"

}  // namespace fastrfm::avx2
