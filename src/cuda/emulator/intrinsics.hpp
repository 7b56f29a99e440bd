// CUDA's built-in functions for device code: barriers, warp operations, loads and stores with a cache
// hint (here plain ones), bits, and mathematics.
#pragma once

// Not <cmath>: as in CUDA, the overloads for float are wanted outside std too.
#include <math.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "block.hpp"

using std::fma;  // of floats, not of floats made doubles
using std::max;
using std::min;

// ---- barriers

inline void __syncthreads() { emulator::block_barrier(false); }
inline int __syncthreads_count(int predicate) { return emulator::block_barrier(predicate != 0); }
inline int __syncthreads_or(int predicate) {
  return emulator::block_barrier(predicate != 0) > 0 ? 1 : 0;
}
inline int __syncthreads_and(int predicate) {
  return emulator::block_barrier(predicate == 0) == 0 ? 1 : 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffU) {
  const emulator::Exchanged<char> arrived(mask, 0);
}
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// ---- warp operations. `width`, a power of two, splits the warp into groups; a lane whose source
// would lie outside its group keeps its own value.

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize) {
  const emulator::Exchanged<T> lanes(mask, value);
  const int group = emulator::lane() & ~(width - 1);
  return lanes[group + (source & (width - 1))];
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize) {
  const emulator::Exchanged<T> lanes(mask, value);
  const int source = emulator::lane() ^ lane_mask;
  const int end = (emulator::lane() & ~(width - 1)) + width;
  return lanes[source < end ? source : emulator::lane()];
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  const emulator::Exchanged<T> lanes(mask, value);
  const int source = emulator::lane() + static_cast<int>(delta);
  const int end = (emulator::lane() & ~(width - 1)) + width;
  return lanes[source < end ? source : emulator::lane()];
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  const emulator::Exchanged<T> lanes(mask, value);
  const int source = emulator::lane() - static_cast<int>(delta);
  const int begin = emulator::lane() & ~(width - 1);
  return lanes[source >= begin ? source : emulator::lane()];
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const emulator::Exchanged<bool> lanes(mask, predicate != 0);
  unsigned ballot = 0;
  for (int from = 0; from < emulator::kWarp; ++from)
    if (lanes.present(from) && lanes[from]) ballot |= 1U << from;
  return ballot;
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate == 0 ? 1 : 0) == 0 ? 1 : 0;
}
inline unsigned __activemask() { return emulator::live_lanes(); }

// ---- loads and stores

template <class T>
T __ldg(const T* from) {
  return *from;
}
template <class T>
T __ldcs(const T* from) {
  return *from;
}
template <class T>
T __ldcg(const T* from) {
  return *from;
}
template <class T>
void __stcs(T* to, T value) {
  *to = value;
}
template <class T>
void __stcg(T* to, T value) {
  *to = value;
}

// ---- bits

namespace emulator {

template <class To, class From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "the types differ in size");
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

}  // namespace emulator

inline int __float_as_int(float x) { return emulator::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return emulator::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return emulator::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return emulator::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::bit_cast<double>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1U) << (31 - bit);
  return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}

// ---- mathematics. noexcept as in C libraries that have these two themselves.

inline float rsqrtf(float x) noexcept { return 1.0F / std::sqrt(x); }
inline double rsqrt(double x) noexcept { return 1.0 / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return std::exp(x); }
