// The second product of a tile of weights: sums += F^T columns, register tile by register tile.
#pragma once

#include "marked_pairs.cuh"

namespace fastrfm::cuda {

template <Form F, class T>
struct alignas(16) ColumnStages {
  T at[2][Slab<T>::step][Slab<T>::columns + kLinePadding<F>];
};

// A thread's part of a stage: 16 bytes of one column along the centres, coefficients multiplied in.
template <class T>
struct ColumnSource {
  const T* coef = nullptr;
  const T* coordinate = nullptr;

  __device__ __forceinline__ Pack<T> fetch(std::int64_t j) const {
    Pack<T> pack{};
    if (coef == nullptr) return pack;
    pack = load(coef + j);
    if (coordinate == nullptr) return pack;
    const Pack<T> z = load(coordinate + j);
#pragma unroll
    for (int e = 0; e < Shape<T>::width; ++e) pack.at[e] *= z.at[e];
    return pack;
  }
};

template <Form F, class T, int TM, int TC>
__device__ __forceinline__ void add_products(const ColumnSource<T>& source, std::int64_t j0,
                                             WeightTile<T>& weights, ColumnStages<F, T>& stages,
                                             T (&sums)[TM][TC]) {
  constexpr int width = Shape<T>::width;
  constexpr int step = Slab<T>::step;
  const int column = static_cast<int>(threadIdx.x) % Slab<T>::columns;
  const int first = static_cast<int>(threadIdx.x) / Slab<T>::columns * width;
  static_assert(kThreads / Slab<T>::columns * width == step);
  const auto put = [&](int stage, const Pack<T>& pack) {
#pragma unroll
    for (int e = 0; e < width; ++e) stages.at[stage][first + e][column] = pack.at[e];
  };
  put(0, source.fetch(j0 + first));
  __syncthreads();
#pragma unroll 1
  for (int j = 0; j < kCentres; j += step) {
    const int stage = j / step % 2;
    const bool more = j + step < kCentres;
    Pack<T> next{};
    if (more) next = source.fetch(j0 + j + step + first);
    if constexpr (F == Form::tensor) {
      static_assert(step == 8);
      add_tensor_step([&](int e, int point) { return weights.of(j + e, point); },
                      [&](int e, int q) { return stages.at[stage][e][q]; }, sums);
    } else {
#pragma unroll
      for (int e = 0; e < step; ++e) {
        T a[TM];
        T b[TC];
        weights.load(j + e, static_cast<int>(threadIdx.x) / kSide, a);
        load_places(&stages.at[stage][e][0], static_cast<int>(threadIdx.x) % kSide, b);
#pragma unroll
        for (int r = 0; r < TM; ++r)
#pragma unroll
          for (int c = 0; c < TC; ++c) sums[r][c] = fma(a[r], b[c], sums[r][c]);
      }
    }
    if (more) put(1 - stage, next);
    __syncthreads();
  }
}

template <class T, Form F, Origin O>
__global__ void __launch_bounds__(kThreads, 1)
    products_kernel(const __grid_constant__ SumsPass<T> pass) {
  constexpr int per = Shape<T>::per;
  __shared__ WeightTile<T> weights;
  __shared__ union {
    WeightStages<F, T> points;
    ColumnStages<F, T> columns;
  } stages;
  const WeightedSums<T>& sums = pass.sums;
  const Place<T> at(pass);
  const std::int64_t columns = sums.outputs * pass.per_output;

  ColumnSource<T> source;
  {
    const std::int64_t q =
        at.slab * Slab<T>::columns + static_cast<int>(threadIdx.x) % Slab<T>::columns;
    const std::int64_t k = q % pass.per_output;
    if (q < columns) {
      source.coef = at.coef + q / pass.per_output * sums.z.stride;
      if (O != Origin::kernel && k < sums.metric.depth)
        source.coordinate = sums.z.coordinates + k * sums.z.stride;
    }
  }

  T totals[per][per];
#pragma unroll
  for (int r = 0; r < per; ++r)
#pragma unroll
    for (int c = 0; c < per; ++c) totals[r][c] = T(0);
  const std::int64_t begin = pass.begin + at.part * pass.per_part;
  const std::int64_t end = min(begin + pass.per_part, pass.end);
  for (std::int64_t j0 = begin; j0 < end; j0 += kCentres) {
    const bool any = make_weights<F, O>(pass, at.i0, j0, stages.points, weights);
    if (O != Origin::kernel && any) add_marked<F>(pass, at, j0, weights);
    add_products<F>(source, j0, weights, stages.columns, totals);
  }
  const Seat<F, T, per, per> seat;
#pragma unroll
  for (int r = 0; r < per; ++r)
#pragma unroll
    for (int c = 0; c < per; ++c) {
      const std::int64_t q = at.slab * Slab<T>::columns + seat.column(c);
      if (q < columns) at.sums[seat.row(r) * columns + q] += totals[r][c];
    }
}

}  // namespace fastrfm::cuda
