// 128-bit vectors in the compiler's own vector extension (GCC, Clang): SSE2 on x86-64, NEON on
// aarch64, and whatever else has such registers.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "../common/laplace.hpp"

namespace fastrfm::baseline {

template <class T>
struct Vec;
template <>
struct Vec<float> {
  typedef float Native __attribute__((vector_size(16)));
  static constexpr int lanes = 4;
  Native v;
};
template <>
struct Vec<double> {
  typedef double Native __attribute__((vector_size(16)));
  static constexpr int lanes = 2;
  Native v;
};
typedef std::int32_t Int32s __attribute__((vector_size(16)));
typedef std::int64_t Int64s __attribute__((vector_size(16)));
struct MaskF {
  Int32s m;
};
struct MaskD {
  Int64s m;
};
using F = Vec<float>;
using D = Vec<double>;

inline constexpr int kTileRows = 4;     // 4 x 2 accumulators of 16 registers
inline constexpr int kTileVectors = 2;  // vectors a tile row

template <class T>
FASTRFM_INLINE Vec<T> broadcast(T x);
template <>
FASTRFM_INLINE F broadcast<float>(float x) {
  return {F::Native{x, x, x, x}};
}
template <>
FASTRFM_INLINE D broadcast<double>(double x) {
  return {D::Native{x, x}};
}
FASTRFM_INLINE F load(const float* p) {
  F x;
  std::memcpy(&x.v, p, sizeof(x.v));
  return x;
}
FASTRFM_INLINE D load(const double* p) {
  D x;
  std::memcpy(&x.v, p, sizeof(x.v));
  return x;
}
// As many numbers as a vector of doubles has, as doubles.
FASTRFM_INLINE D load_wide(const float* p) {
  return {D::Native{static_cast<double>(p[0]), static_cast<double>(p[1])}};
}
FASTRFM_INLINE D load_wide(const double* p) { return load(p); }
FASTRFM_INLINE void store(float* p, F x) { std::memcpy(p, &x.v, sizeof(x.v)); }
FASTRFM_INLINE void store(double* p, D x) { std::memcpy(p, &x.v, sizeof(x.v)); }
FASTRFM_INLINE void stream(float* p, F x) { store(p, x); }
FASTRFM_INLINE void stream(double* p, D x) { store(p, x); }
FASTRFM_INLINE void stream_fence() {}

FASTRFM_INLINE F operator+(F a, F b) { return {a.v + b.v}; }
FASTRFM_INLINE D operator+(D a, D b) { return {a.v + b.v}; }
FASTRFM_INLINE F operator-(F a, F b) { return {a.v - b.v}; }
FASTRFM_INLINE D operator-(D a, D b) { return {a.v - b.v}; }
FASTRFM_INLINE F operator*(F a, F b) { return {a.v * b.v}; }
FASTRFM_INLINE D operator*(D a, D b) { return {a.v * b.v}; }
FASTRFM_INLINE F operator/(F a, F b) { return {a.v / b.v}; }
FASTRFM_INLINE D operator/(D a, D b) { return {a.v / b.v}; }
FASTRFM_INLINE F operator-(F a) { return {-a.v}; }
FASTRFM_INLINE D operator-(D a) { return {-a.v}; }
// Fused where the target has it (-ffp-contract=fast).
FASTRFM_INLINE F fma(F a, F b, F c) { return {a.v * b.v + c.v}; }
FASTRFM_INLINE D fma(D a, D b, D c) { return {a.v * b.v + c.v}; }
// high + low = a * n exactly, for an integer n of at most 11 bits: without a fused operation, so by
// cutting `a` in two halves.
FASTRFM_INLINE void exact_product(F a, F n, F& high, F& low) {
  const F::Native head = reinterpret_cast<F::Native>(reinterpret_cast<Int32s>(a.v) & ~0xfff);
  high = {head * n.v};
  low = {(a.v - head) * n.v};
}
FASTRFM_INLINE void exact_product(D a, D n, D& high, D& low) {
  const D::Native head = reinterpret_cast<D::Native>(reinterpret_cast<Int64s>(a.v) & ~0x7ffffff);
  high = {head * n.v};
  low = {(a.v - head) * n.v};
}
// A NaN in the first operand gives the second.
FASTRFM_INLINE F max(F a, F b) { return {a.v > b.v ? a.v : b.v}; }
FASTRFM_INLINE D max(D a, D b) { return {a.v > b.v ? a.v : b.v}; }
FASTRFM_INLINE F min(F a, F b) { return {a.v < b.v ? a.v : b.v}; }
FASTRFM_INLINE D min(D a, D b) { return {a.v < b.v ? a.v : b.v}; }
FASTRFM_INLINE F absolute(F a) {
  return {reinterpret_cast<F::Native>(reinterpret_cast<Int32s>(a.v) & 0x7fffffff)};
}
FASTRFM_INLINE D absolute(D a) {
  return {reinterpret_cast<D::Native>(reinterpret_cast<Int64s>(a.v) & 0x7fffffffffffffff)};
}
// Adding and subtracting 1.5 * 2^23 (2^52) rounds to an integer, for the small |a| used here.
FASTRFM_INLINE F nearest(F a) {
  const F::Native magic = broadcast(12582912.0F).v;
  return {(a.v + magic) - magic};
}
FASTRFM_INLINE D nearest(D a) {
  const D::Native magic = broadcast(6755399441055744.0).v;
  return {(a.v + magic) - magic};
}
FASTRFM_INLINE F scale_by_power_of_two(F a, F n) {
  const Int32s e = (__builtin_convertvector(n.v, Int32s) + 127) << 23;
  return {a.v * reinterpret_cast<F::Native>(e)};
}
FASTRFM_INLINE D scale_by_power_of_two(D a, D n) {
  const Int64s e = (__builtin_convertvector(n.v, Int64s) + 1023) << 52;
  return {a.v * reinterpret_cast<D::Native>(e)};
}

FASTRFM_INLINE MaskF operator>(F a, F b) { return {a.v > b.v}; }
FASTRFM_INLINE MaskD operator>(D a, D b) { return {a.v > b.v}; }
FASTRFM_INLINE MaskF operator<(F a, F b) { return {a.v < b.v}; }
FASTRFM_INLINE MaskD operator<(D a, D b) { return {a.v < b.v}; }
FASTRFM_INLINE MaskF operator>=(F a, F b) { return {a.v >= b.v}; }
FASTRFM_INLINE MaskD operator>=(D a, D b) { return {a.v >= b.v}; }
FASTRFM_INLINE MaskF operator&(MaskF a, MaskF b) { return {a.m & b.m}; }
FASTRFM_INLINE MaskD operator&(MaskD a, MaskD b) { return {a.m & b.m}; }
FASTRFM_INLINE unsigned bits(MaskF a) {
  return static_cast<unsigned>((a.m[0] & 1) | (a.m[1] & 2) | (a.m[2] & 4) | (a.m[3] & 8));
}
FASTRFM_INLINE unsigned bits(MaskD a) { return static_cast<unsigned>((a.m[0] & 1) | (a.m[1] & 2)); }
FASTRFM_INLINE F select(MaskF m, F a, F b) { return {m.m ? a.v : b.v}; }
FASTRFM_INLINE D select(MaskD m, D a, D b) { return {m.m ? a.v : b.v}; }

// x = mantissa * 2^exponent, mantissa in [0.75, 1.5), for positive normal x: the exponent field of
// x / 0.75 is that of the mantissa sought.
FASTRFM_INLINE void split_exponent(F x, F& mantissa, F& exponent) {
  const Int32s bits = reinterpret_cast<Int32s>(x.v);
  const Int32s e = (bits - 0x3f400000) >> 23;
  mantissa = {reinterpret_cast<F::Native>(bits - (e << 23))};
  exponent = {__builtin_convertvector(e, F::Native)};
}
FASTRFM_INLINE void split_exponent(D x, D& mantissa, D& exponent) {
  const Int64s bits = reinterpret_cast<Int64s>(x.v);
  const Int64s e = (bits - 0x3fe8000000000000) >> 52;
  mantissa = {reinterpret_cast<D::Native>(bits - (e << 52))};
  exponent = {__builtin_convertvector(e, D::Native)};
}

FASTRFM_INLINE F square_root(F x) {
  return {F::Native{__builtin_sqrtf(x.v[0]), __builtin_sqrtf(x.v[1]), __builtin_sqrtf(x.v[2]),
                    __builtin_sqrtf(x.v[3])}};
}
FASTRFM_INLINE D square_root(D x) {
  return {D::Native{__builtin_sqrt(x.v[0]), __builtin_sqrt(x.v[1])}};
}
FASTRFM_INLINE F inverse_square_root(F x) { return broadcast(1.0F) / square_root(x); }
FASTRFM_INLINE D inverse_square_root(D x) { return broadcast(1.0) / square_root(x); }

#include "vec_math.hpp"

}  // namespace fastrfm::baseline
