#include "gradients.hpp"

#include "gradient_chunks.hpp"

namespace fastrfm::cuda {
namespace {

constexpr int kTile = 32;

// out[row, f] = factor sum_k A[f, k] g[row, k]: from a full root's coordinates to input space.
template <class T>
__global__ void to_input_space_kernel(Metric<T> metric, const T* g, std::int64_t rows,
                                      std::int64_t row_blocks, T* out) {
  __shared__ T own[kTile][kTile + 1];
  __shared__ T root[kTile][kTile + 1];
  constexpr int each = kTile * kTile / kThreads;
  const std::int64_t row0 = blockIdx.x % row_blocks * kTile;
  const std::int64_t f0 = blockIdx.x / row_blocks * kTile;
  const int x = static_cast<int>(threadIdx.x) % kTile;
  const int y = static_cast<int>(threadIdx.x) / kTile;
  T sums[each] = {};
  for (int k0 = 0; k0 < metric.depth; k0 += kTile) {
#pragma unroll
    for (int e = 0; e < each; ++e) {
      const int line = y + kThreads / kTile * e;
      const bool inside = k0 + x < metric.depth;
      own[line][x] = inside && row0 + line < rows ? g[(row0 + line) * metric.depth + k0 + x] : T(0);
      root[line][x] = inside && f0 + line < metric.features
                          ? static_cast<T>(metric.root.data[(f0 + line) * metric.depth + k0 + x])
                          : T(0);
    }
    __syncthreads();
    for (int k = 0; k < kTile; ++k)
#pragma unroll
      for (int e = 0; e < each; ++e)
        sums[e] = fma(own[y + kThreads / kTile * e][k], root[x][k], sums[e]);
    __syncthreads();
  }
  const auto factor = static_cast<T>(metric.law.gradient_factor);
#pragma unroll
  for (int e = 0; e < each; ++e) {
    const std::int64_t row = row0 + y + kThreads / kTile * e;
    if (row < rows && f0 + x < metric.features)
      out[row * metric.features + f0 + x] = factor * sums[e];
  }
}

}  // namespace

template <class T>
void gradients(const GradientArgs<T>& args, const Device& device) {
  const std::int64_t c = args.outputs;
  WeightedSums<T> pass = gradient_pass<T>(args, c, device);
  pass.coef = pack_columns<T>(args.coef, args.z.rows, c, pass.z.stride, device);
  const bool full = args.root.kind == Root::Kind::full;
  Reusable<T> room;
  for_each_chunk(
      pass, pass.x.stride, device, [](const WeightedSums<T>&) {},
      [&](const WeightedSums<T>& chunk) {
        const std::int64_t lines = chunk.rows * c;
        T* out = args.out + chunk.first_row * c * args.x.features;
        if (!full) {
          finish_gradients(chunk, true, nullptr, out, device);
          return;
        }
        T* packed = room.get(lines * chunk.metric.depth, device);
        finish_gradients(chunk, false, nullptr, packed, device);
        const std::int64_t blocks = ceil_div(lines, kTile);
        launch("gradients", to_input_space_kernel<T>, blocks * ceil_div(args.x.features, kTile),
               device, chunk.metric, packed, lines, blocks, out);
      });
}

template void gradients(const GradientArgs<float>&, const Device&);
template void gradients(const GradientArgs<double>&, const Device&);

}  // namespace fastrfm::cuda
