// Rectangular full packed format of a symmetric matrix, TRANSR = 'N', UPLO = 'L'
// (Gustavson, Wasniewski, Dongarra, Langou 2010, doi 10.1145/1731022.1731028), read as rows.
//
// The column-major array has `ld` rows and `split` columns. Its column q holds, one after the other,
// a piece of the lower triangle's trailing rows and column q of its leading ones; as the matrix is
// symmetric both are runs of a row of it:
//   leading(q):  A[q, s] for q <= s < n, at [s] of the pointer
//   trailing(q): A[trailing_row(q), r] for split <= r <= trailing_row(q), at [r] of the pointer
#pragma once

#include <cstdint>

namespace fastrfm {

struct PackedLayout {
  std::int64_t n;
  std::int64_t ld;
  std::int64_t split;
  std::int64_t even;  // 1 if n is even, else 0

  explicit PackedLayout(std::int64_t size)
      : n(size),
        ld(size % 2 == 0 ? size + 1 : size),
        split((size + 1) / 2),
        even(size % 2 == 0 ? 1 : 0) {}

  std::int64_t leading(std::int64_t q) const { return q * ld + even; }
  std::int64_t trailing_row(std::int64_t q) const { return q + split - 1 + even; }
  std::int64_t trailing(std::int64_t q) const { return q * ld - split; }
};

}  // namespace fastrfm
