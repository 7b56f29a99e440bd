// What the gradient ops share: a pass over chunks of rows, whose gradients live for one chunk.
#pragma once

#include <algorithm>

#include "primitives.cuh"
#include "reductions.hpp"
#include "weighted_sums.hpp"

namespace fastrfm::cuda {

// The sums of a chunk, and its gradients, stay below this each.
inline constexpr std::int64_t kGradientChunkBytes = 64 << 20;

// Metric and points of a pass; coefficients, sums and parts are still to come.
template <class T, class Args>
WeightedSums<T> gradient_pass(const Args& args, std::int64_t outputs, const Device& device) {
  const Metric<T> metric = make_metric<T>(args.kernel, args.root, args.x.features, device);
  const double* centre = central_point(args.z, device);
  const PackedPoints<T> x = pack_points<T>(args.x, metric, centre, device);
  const PackedPoints<T> z = pack_points<T>(args.z, metric, centre, device);
  return {metric, x, z, Weighing::gradient, nullptr, 0, 0, outputs, 0, 0, nullptr, 1};
}

// Runs `pass` chunk by chunk of at most `most_rows` rows; `prepare(pass)` may set the coefficients of
// the rows to come, `use(pass)` finds their sums.
template <class T, class Prepare, class Use>
void for_each_chunk(WeightedSums<T> pass, std::int64_t most_rows, const Device& device,
                    Prepare prepare, Use use) {
  pass.parts = parts_for(pass, most_rows);
  const std::int64_t chunk = std::min(rows_per_chunk(pass, kGradientChunkBytes), most_rows);
  pass.sums = device.array<T>(pass.parts * chunk * pass.columns());
  WeightRoom<T> room;
  for (pass.first_row = 0; pass.first_row < pass.x.count; pass.first_row += chunk) {
    pass.rows = std::min(chunk, pass.x.count - pass.first_row);
    prepare(pass);
    launch_weighted_sums(pass, room, device);
    use(pass);
  }
}

}  // namespace fastrfm::cuda
