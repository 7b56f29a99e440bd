// Float32 products on tensor cores, by TF32 numbers: 3xTF32.
//
// A TF32 number has 11 significant bits, so a float is the sum of two of them but for one part in
// 2^23: a = a1 + a2. Of the four products of two such sums the smallest, a2 b2, is one part in 2^24
// and left out. (Ootomo, Yokota 2022, doi:10.1177/10943420221090256, who also show what the parts
// lose where they are cut off instead of rounded.)
//
// A block's eight warps stand 2 by 4 over a tile; a warp's part is divided into the instruction's
// 16 x 8. What a thread gets of those, 8 rows and columns of a 128 x 128 tile, crosses like the
// rows and columns of any thread in tile.cuh: only their places differ (Seat).
#pragma once

#include "primitives.cuh"

namespace fastrfm::cuda {

// D += A B for a warp, A 16 x 8 and B 8 x 8 of TF32 numbers. Which lane holds which entry: PTX ISA,
// "Matrix Fragments for mma.m16n8k8", and emulator/mma.hpp.
__device__ __forceinline__ void mma_m16n8k8(float (&d)[4], const float (&a)[4],
                                            const float (&b)[2]) {
#if defined(CUDA_EMU)
  emulator::mma_m16n8k8(d, a, b);
#elif __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
#else
  __trap();  // never launched there: uses_tensor_cores
#endif
}

// The parts of a float. Rounded by an addition to its bits, half away from zero: the instruction
// cvt.rna.tf32 does the same at a quarter of the rate.
__device__ __forceinline__ void split_tf32(float value, float& high, float& low) {
  constexpr unsigned half = 0x1000U;
  high = __uint_as_float((__float_as_uint(value) + half) & ~(2U * half - 1U));
  low = __uint_as_float(__float_as_uint(value - high) + half);  // its last bits are not looked at
}

// sums += A^T B, eight lines deep: a(k, row) and b(k, column), columns and rows of the tile.
template <int TM, int TN, class A, class B>
__device__ __forceinline__ void add_tensor_step(const A& a, const B& b, float (&sums)[TM][TN]) {
  static_assert(TM % 2 == 0 && TN % 2 == 0);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int group = static_cast<int>(threadIdx.x) % 32 / 4;
  const int member = static_cast<int>(threadIdx.x) % 4;
  const int first_row = warp / 4 * (8 * TM) + group;
  const int first_column = warp % 4 * (4 * TN) + group;
  float b_high[TN / 2][2];
  float b_low[TN / 2][2];
#pragma unroll
  for (int j = 0; j < TN / 2; ++j)
#pragma unroll
    for (int e = 0; e < 2; ++e)
      split_tf32(b(member + 4 * e, first_column + 8 * j), b_high[j][e], b_low[j][e]);
#pragma unroll
  for (int i = 0; i < TM / 2; ++i) {
    float a_high[4];
    float a_low[4];
#pragma unroll
    for (int e = 0; e < 4; ++e)
      split_tf32(a(member + e / 2 * 4, first_row + 16 * i + e % 2 * 8), a_high[e], a_low[e]);
#pragma unroll
    for (int j = 0; j < TN / 2; ++j) {
      float d[4] = {sums[2 * i][2 * j], sums[2 * i][2 * j + 1], sums[2 * i + 1][2 * j],
                    sums[2 * i + 1][2 * j + 1]};
      mma_m16n8k8(d, a_low, b_high[j]);
      mma_m16n8k8(d, a_high, b_low[j]);
      mma_m16n8k8(d, a_high, b_high[j]);
      sums[2 * i][2 * j] = d[0];
      sums[2 * i][2 * j + 1] = d[1];
      sums[2 * i + 1][2 * j] = d[2];
      sums[2 * i + 1][2 * j + 1] = d[3];
    }
  }
}

}  // namespace fastrfm::cuda
