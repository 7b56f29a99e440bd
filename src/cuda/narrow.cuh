// K V for few outputs: a second product would be mostly padding, so threads sum up rows.
#pragma once

#include "weight_tile.cuh"

namespace fastrfm::cuda {

template <class T, Form F, int C>
__global__ void __launch_bounds__(kThreads, (C > 4 && (sizeof(T) == 8 || F == Form::tensor))
                                                ? 1
                                                : kBlocksEach<F>)
    narrow_kernel(const __grid_constant__ SumsPass<T> pass) {
  constexpr int side = Shape<T>::side;
  constexpr int width = Shape<T>::width;
  constexpr int shares = kThreads / side;  // threads of a row
  constexpr int each = kCentres / shares;
  __shared__ WeightTile<T> weights;
  __shared__ WeightStages<F, T> stages;
  __shared__ T of_share[shares][side];
  const WeightedSums<T>& sums = pass.sums;
  const Place<T> at(pass);
  const int row = static_cast<int>(threadIdx.x) % side;
  const int share = static_cast<int>(threadIdx.x) / side;
  T totals[C];
#pragma unroll
  for (int l = 0; l < C; ++l) totals[l] = T(0);
  const std::int64_t begin = pass.begin + at.part * pass.per_part;
  const std::int64_t end = min(begin + pass.per_part, pass.end);
  for (std::int64_t j0 = begin; j0 < end; j0 += kCentres) {
    make_weights<F, Origin::kernel>(pass, at.i0, j0, stages, weights);
#pragma unroll 2
    for (int j = share * each; j < (share + 1) * each; j += width) {
      T k[width];
#pragma unroll
      for (int e = 0; e < width; ++e) k[e] = weights.of(j + e, row);
#pragma unroll
      for (int l = 0; l < C; ++l) {
        if (l >= sums.outputs) break;
        const Pack<T> v = load(at.coef + l * sums.z.stride + j0 + j);
#pragma unroll
        for (int e = 0; e < width; ++e) totals[l] = fma(k[e], v.at[e], totals[l]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int l = 0; l < C; ++l) {
    if (l >= sums.outputs) break;
    of_share[share][row] = totals[l];
    __syncthreads();
    if (share == 0) {
      T total = T(0);
      for (int other = 0; other < shares; ++other) total += of_share[other][row];
      at.sums[row * sums.outputs + l] += total;
    }
    __syncthreads();
  }
}

}  // namespace fastrfm::cuda
