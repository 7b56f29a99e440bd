// Random signs without state: a hash of a seed and a counter, the same on every backend.
#pragma once

#include <cstdint>

#include "inline.hpp"

namespace fastrfm {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014, doi 10.1145/2660193.2660195).
FASTRFM_INLINE std::uint64_t scramble(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// Where a seed's signs start, so that neighbouring seeds share none.
FASTRFM_INLINE std::uint64_t sign_stream(std::uint64_t seed) { return scramble(seed); }

FASTRFM_INLINE bool positive_sign(std::uint64_t stream, std::int64_t counter) {
  constexpr std::uint64_t golden_ratio = 0x9e3779b97f4a7c15ULL;
  return (scramble(stream + (static_cast<std::uint64_t>(counter) + 1) * golden_ratio) >> 63) != 0;
}

}  // namespace fastrfm
