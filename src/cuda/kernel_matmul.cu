#include "kernel_matmul.hpp"

#include <algorithm>

#include "primitives.cuh"
#include "reductions.hpp"
#include "weighted_sums.hpp"

namespace fastrfm::cuda {
namespace {

// Partial sums of a chunk of rows stay below this.
constexpr std::int64_t kChunkBytes = 64 << 20;

}  // namespace

template <class T>
void kernel_matmul(const KernelMatmulArgs<T>& args, const Device& device) {
  const std::int64_t n = args.x.rows;
  const std::int64_t c = args.outputs;
  const Metric<T> metric = make_metric<T>(args.kernel, args.root, args.x.features, device);
  const double* centre = central_point(args.z, device);
  const PackedPoints<T> x = pack_points<T>(args.x, metric, centre, device);
  const PackedPoints<T> z = pack_points<T>(args.z, metric, centre, device);
  const T* v = pack_columns<T>(args.v, args.z.rows, c, z.stride, device);

  WeightedSums<T> pass{metric, x, z, Weighing::kernel, v, 0, 0, c, 0, 0, nullptr, 1};
  pass.parts = parts_for(pass, n);
  const std::int64_t chunk = rows_per_chunk(pass, kChunkBytes);
  pass.sums = device.array<T>(pass.parts * chunk * c);
  WeightRoom<T> room;
  for (pass.first_row = 0; pass.first_row < n; pass.first_row += chunk) {
    pass.rows = std::min(chunk, n - pass.first_row);
    launch_weighted_sums(pass, room, device);
    add_parts(pass.sums, pass.parts, round_up(pass.rows, tile_rows<T>()) * c, pass.rows * c,
              args.out + pass.first_row * c, device);
  }
}

template void kernel_matmul(const KernelMatmulArgs<float>&, const Device&);
template void kernel_matmul(const KernelMatmulArgs<double>&, const Device&);

}  // namespace fastrfm::cuda
