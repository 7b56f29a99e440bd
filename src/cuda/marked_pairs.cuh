// Pairs too close for the products of a tile of gradient weights: added by their differences.
#pragma once

#include "weight_tile.cuh"

namespace fastrfm::cuda {

// A near pair's difference in coordinate k: from what rounding left, or from the caller's rows.
template <class T>
__device__ T near_difference(const Metric<T>& metric, const PackedPoints<T>& x, std::int64_t i,
                             const PackedPoints<T>& z, std::int64_t j, int k, bool exact) {
  if (exact) return static_cast<T>(exact_difference(metric, x.source, i, z.source, j, k, false));
  T u = x.coordinates[k * x.stride + i] - z.coordinates[k * z.stride + j];
  if (x.rest != nullptr) u += x.rest[k * x.stride + i] - z.rest[k * z.stride + j];
  return u;
}

template <class T>
__device__ T near_phi(T u, const Law<T>& law) {
  switch (law.norm) {
    case Norm::one:
      return coordinate_gradient<Norm::one>(u, law.norm_power, T(1));
    case Norm::general:
      return coordinate_gradient<Norm::general>(u, law.norm_power, T(1));
    default:
      return u;
  }
}

// Adds the marked pairs of a tile by their differences, straight to the block's own part of `sums`,
// and takes them out of the tile. A warp a row, pair by pair in the order of centres, so that the
// order of additions is fixed. Ends with a barrier.
template <Form F, class T>
__device__ __noinline__ void add_marked(const SumsPass<T>& pass, const Place<T>& at,
                                        std::int64_t j0, WeightTile<T>& weights) {
  const WeightedSums<T>& sums = pass.sums;
  const Metric<T>& metric = sums.metric;
  const std::int64_t columns = sums.outputs * pass.per_output;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int r = static_cast<int>(threadIdx.x) / 32; r < Shape<T>::side; r += kThreads / 32) {
#pragma unroll 1
    for (int half = 0; half < kCentres; half += 32) {
      unsigned left = __ballot_sync(0xffffffffU, weights.of(half + lane, r) < T(0));
      for (; left != 0; left &= left - 1) {
        const int c = half + __ffs(static_cast<int>(left)) - 1;
        const T marked_weight = weights.of(c, r);
        const bool exact = marked_exact(marked_weight);
        const std::int64_t i = at.i0 + r;
        const std::int64_t j = j0 + c;
        const auto add = [&](std::int64_t l, int k) {
          const T u = near_difference(metric, sums.x, i, sums.z, j, k, exact);
          // T enters the gradient with a minus, a difference with a plus: both signs are here.
          const T factor = at.coef[l * sums.z.stride + j] * marked_weight;
          T& to = at.sums[r * columns + l * pass.per_output + k];
          if constexpr (is_product<F>)
            to += factor * u;
          else
            to -= factor * near_phi(u, metric.law);
        };
        if constexpr (is_product<F>) {
          const std::int64_t first = at.slab * Slab<T>::columns;
          for (std::int64_t q = first + lane; q < first + Slab<T>::columns && q < columns;
               q += 32) {
            const auto k = static_cast<int>(q % pass.per_output);
            if (k < metric.depth) add(q / pass.per_output, k);
          }
        } else {
          const std::int64_t groups = ceil_div(metric.depth, Slab<T>::coordinates);
          const std::int64_t first = at.slab % groups * Slab<T>::coordinates;
          const std::int64_t l0 = at.slab / groups * Slab<T>::outputs;
          for (std::int64_t l = l0; l < l0 + Slab<T>::outputs && l < sums.outputs; ++l)
            for (std::int64_t k = first + lane;
                 k < first + Slab<T>::coordinates && k < metric.depth; k += 32)
              add(l, static_cast<int>(k));
        }
      }
      __syncwarp();
      if (weights.of(half + lane, r) < T(0)) weights.of(half + lane, r) = T(0);
    }
  }
  __syncthreads();
}

}  // namespace fastrfm::cuda
