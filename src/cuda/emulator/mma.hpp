// The tensor cores' product that fastrfm uses: mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32,
// D = A B + C for a whole warp, A 16 x 8, B 8 x 8, C and D 16 x 8.
//
// Which lane holds which entry: PTX ISA, "Matrix Fragments for mma.m16n8k8". With group = lane / 4 and
// member = lane % 4:
//   a0, a1, a2, a3: A(group, member), A(group + 8, member), A(group, member + 4),
//                   A(group + 8, member + 4)
//   b0, b1:         B(member, group), B(member + 4, group)
//   d0, d1, d2, d3: D(group, 2 member), D(group, 2 member + 1), and the same of row group + 8
#pragma once

#include <cmath>

#include "block.hpp"
#include "intrinsics.hpp"

namespace emulator {

// A TF32 number has ten bits of mantissa; the hardware does not look at the other 13 of a float.
inline float as_tf32(float x) { return __uint_as_float(__float_as_uint(x) & ~0x1fffU); }

// d: C when called, D afterwards. All lanes of the warp must call it.
inline void mma_m16n8k8(float (&d)[4], const float (&a)[4], const float (&b)[2]) {
  struct Operands {
    float a[4];
    float b[2];
  };
  Operands mine;
  for (int i = 0; i < 4; ++i) mine.a[i] = as_tf32(a[i]);
  for (int i = 0; i < 2; ++i) mine.b[i] = as_tf32(b[i]);
  const Exchanged<Operands> lanes(0xffffffffU, mine);
  const int group = lane() / 4;
  const int member = lane() % 4;
  for (int k = 0; k < 4; ++k) {
    const Operands rows = lanes[group * 4 + k];
    for (int column = 0; column < 2; ++column) {
      const Operands columns = lanes[(2 * member + column) * 4 + k];
      for (int half = 0; half < 2; ++half) {
        float& sum = d[half * 2 + column];
        sum = std::fma(rows.a[half], columns.b[0], sum);
        sum = std::fma(rows.a[half + 2], columns.b[1], sum);
      }
    }
  }
}

}  // namespace emulator
