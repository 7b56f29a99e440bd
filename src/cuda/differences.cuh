// The sums of a tile of weights for p other than 2: sums += omega coef phi(x - z).
#pragma once

#include "marked_pairs.cuh"

namespace fastrfm::cuda {

template <class T>
struct alignas(16) DifferenceStages {
  T z[2][Slab<T>::difference_step][Slab<T>::coordinates];
  T coef[Slab<T>::outputs][kCentres];
};

template <Form F, class T>
__device__ __forceinline__ T weighted_phi(T omega, T u, const Law<T>& law) {
  if constexpr (F == Form::absolute)
    return with_sign_of(omega, u);
  else
    return omega * (law.norm == Norm::general
                        ? coordinate_gradient<Norm::general>(u, law.norm_power, T(1))
                        : u);
}

template <class T, Form F, Origin O>
__global__ void __launch_bounds__(kThreads, 1)
    differences_kernel(const __grid_constant__ SumsPass<T> pass) {
  constexpr int per = Shape<T>::per;
  constexpr int width = Shape<T>::width;
  constexpr int each = Slab<T>::coordinates / kSide;
  constexpr int step = Slab<T>::difference_step;
  __shared__ WeightTile<T> weights;
  __shared__ union {
    WeightStages<F, T> points;
    DifferenceStages<T> columns;
  } stages;
  const WeightedSums<T>& sums = pass.sums;
  const Law<T>& law = sums.metric.law;
  const Place<T> at(pass);
  const int ty = static_cast<int>(threadIdx.x) / kSide;
  const int tx = static_cast<int>(threadIdx.x) % kSide;
  const int depth = sums.metric.depth;
  const std::int64_t groups = ceil_div(depth, Slab<T>::coordinates);
  const auto k0 = static_cast<int>(at.slab % groups * Slab<T>::coordinates);
  const std::int64_t l0 = at.slab / groups * Slab<T>::outputs;

  const int column = static_cast<int>(threadIdx.x) % Slab<T>::coordinates;
  const int first = static_cast<int>(threadIdx.x) / Slab<T>::coordinates * width;
  const T* z = k0 + column < depth ? sums.z.coordinates + (k0 + column) * sums.z.stride : nullptr;

  T x[per][each];
#pragma unroll
  for (int c = 0; c < each; ++c) {
    const int k = k0 + place<T>(tx, c);
#pragma unroll
    for (int r = 0; r < per; ++r)
      x[r][c] = k < depth ? sums.x.coordinates[k * sums.x.stride + at.i0 + place<T>(ty, r)] : T(0);
  }
  T totals[Slab<T>::outputs][per][each];
#pragma unroll
  for (int l = 0; l < Slab<T>::outputs; ++l)
#pragma unroll
    for (int r = 0; r < per; ++r)
#pragma unroll
      for (int c = 0; c < each; ++c) totals[l][r][c] = T(0);

  const std::int64_t begin = pass.begin + at.part * pass.per_part;
  const std::int64_t end = min(begin + pass.per_part, pass.end);
  for (std::int64_t j0 = begin; j0 < end; j0 += kCentres) {
    const bool any = make_weights<F, O>(pass, at.i0, j0, stages.points, weights);
    if (any) add_marked<F>(pass, at, j0, weights);
    const auto fetch = [&](std::int64_t j) { return z != nullptr ? load(z + j) : Pack<T>{}; };
    const auto put = [&](int stage, const Pack<T>& pack) {
#pragma unroll
      for (int e = 0; e < width; ++e) stages.columns.z[stage][first + e][column] = pack.at[e];
    };
    if (threadIdx.x < Slab<T>::outputs * kCentres) {
      const std::int64_t l = threadIdx.x / kCentres;
      const std::int64_t c = threadIdx.x % kCentres;
      stages.columns.coef[l][c] =
          l0 + l < sums.outputs ? at.coef[(l0 + l) * sums.z.stride + j0 + c] : T(0);
    }
    put(0, fetch(j0 + first));
    __syncthreads();
#pragma unroll 1
    for (int j = 0; j < kCentres; j += step) {
      const int stage = j / step % 2;
      const bool more = j + step < kCentres;
      Pack<T> next{};
      if (more) next = fetch(j0 + j + step + first);
#pragma unroll 1
      for (int e = 0; e < step; ++e) {
        T omega[per];
        T own[each];
        weights.load(j + e, ty, omega);
        load_places(&stages.columns.z[stage][e][0], tx, own);
        const T coef0 = stages.columns.coef[0][j + e];
        const T coef1 = stages.columns.coef[1][j + e];
#pragma unroll
        for (int r = 0; r < per; ++r)
#pragma unroll
          for (int c = 0; c < each; ++c) {
            const T term = weighted_phi<F>(omega[r], x[r][c] - own[c], law);
            totals[0][r][c] = fma(coef0, term, totals[0][r][c]);
            totals[1][r][c] = fma(coef1, term, totals[1][r][c]);
          }
      }
      if (more) put(1 - stage, next);
      __syncthreads();
    }
  }
  const std::int64_t columns = sums.outputs * pass.per_output;
#pragma unroll
  for (int l = 0; l < Slab<T>::outputs; ++l)
#pragma unroll
    for (int c = 0; c < each; ++c) {
      const int k = k0 + place<T>(tx, c);
      if (l0 + l >= sums.outputs || k >= depth) continue;
#pragma unroll
      for (int r = 0; r < per; ++r)
        at.sums[place<T>(ty, r) * columns + (l0 + l) * pass.per_output + k] += totals[l][r][c];
    }
}

}  // namespace fastrfm::cuda
