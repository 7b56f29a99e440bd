#include "gradient_sums.hpp"

#include "../cpp/common/signs.hpp"
#include "gradient_chunks.hpp"

namespace fastrfm::cuda {
namespace {

// Mixed coefficients of a chunk's row tiles stay below this.
constexpr std::int64_t kMixedBytes = 16 << 20;

// out[tile][sample][centre] = sum_l coef[l][centre] sign / sqrt(samples), signs drawn anew for each
// tile of points: see src/cpp/common/signs.hpp. Tiles count from the first row of all.
template <class T>
__global__ void mix_kernel(const T* coef, std::int64_t stride, std::int64_t outputs,
                           std::int64_t samples, std::uint64_t seed, std::int64_t first_tile,
                           std::int64_t centre_blocks, T* out) {
  const std::int64_t j = blockIdx.x % centre_blocks * kThreads + threadIdx.x;
  const std::int64_t sample = blockIdx.x / centre_blocks % samples;
  const std::int64_t tile = blockIdx.x / centre_blocks / samples;
  if (j >= stride) return;
  T sum = T(0);
  for (std::int64_t l = 0; l < outputs; ++l) {
    const T value = coef[l * stride + j];
    sum += positive_sign(seed, ((first_tile + tile) * outputs + l) * samples + sample) ? value
                                                                                       : -value;
  }
  const T size = static_cast<T>(1.0 / sqrt(static_cast<double>(samples)));
  out[(tile * samples + sample) * stride + j] = size * sum;
}

// From sums in packed coordinates to those of gradients. Full form: both triangles from the upper
// one. Diagonal form: sums[k] from the squares of every output.
template <class T>
__global__ void scale_sums_kernel(Metric<T> metric, bool diagonal, const double* squares,
                                  std::int64_t outputs, double* sums) {
  const std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t depth = metric.depth;
  if (diagonal) {
    if (e >= depth) return;
    double sum = 0.0;
    for (std::int64_t l = 0; l < outputs; ++l) sum += squares[l * depth + e];
    sums[e] = metric.gradients[e] * metric.gradients[e] * sum;
    return;
  }
  if (e >= depth * depth || e / depth > e % depth) return;
  const double value = metric.gradients[e / depth] * metric.gradients[e % depth] * sums[e];
  sums[e] = value;
  sums[e % depth * depth + e / depth] = value;
}

template <class T>
__global__ void scale_output_sums_kernel(Metric<T> metric, std::int64_t count, double* sums) {
  const std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (e < count) sums[e] *= metric.gradients[e % metric.depth];
}

__global__ void roots_kernel(const double* values, std::int64_t count, double* out) {
  const std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (e < count) out[e] = sqrt(values[e]);
}

double* zeros(std::int64_t count, double* at, const Device& device) {
  check(cudaMemsetAsync(at, 0, static_cast<std::size_t>(count) * sizeof(double),
                        static_cast<cudaStream_t>(device.stream)),
        "gradient_sums");
  return at;
}

}  // namespace

template <class T>
void gradient_sums(const GradientSumsArgs<T>& args, const Device& device) {
  constexpr const char* what = "gradient_sums";
  const bool mixed = args.output_samples > 0;
  const std::int64_t c = mixed ? args.output_samples : args.outputs;
  WeightedSums<T> pass = gradient_pass<T>(args, c, device);
  const std::int64_t stride = pass.z.stride;
  const T* coef = pack_columns<T>(args.coef, args.z.rows, args.outputs, stride, device);
  pass.coef = coef;
  const int depth = pass.metric.depth;
  const std::int64_t entries = static_cast<std::int64_t>(depth) * depth;
  if (!args.diagonal) zeros(entries, args.sums, device);
  if (args.output_sums != nullptr) zeros(c * depth, args.output_sums, device);
  double* squares =
      args.diagonal ? zeros(c * depth, device.array<double>(c * depth), device) : nullptr;

  // Gradients times the roots of the weights have the weighted outer products; in the sums of
  // gradients the roots come in again.
  double* roots = nullptr;
  if (args.row_weights != nullptr) {
    roots = device.array<double>(args.x.rows);
    launch(what, roots_kernel, ceil_div(args.x.rows, kThreads), device, args.row_weights,
           args.x.rows, roots);
  }

  const std::int64_t side = tile_rows<T>();
  std::int64_t most_rows = pass.x.stride;
  if (mixed) {
    pass.coef_tile_stride = c * stride;
    const std::int64_t tiles =
        kMixedBytes / (pass.coef_tile_stride * static_cast<std::int64_t>(sizeof(T)));
    most_rows = std::min(most_rows, side * std::max<std::int64_t>(1, tiles));
  }
  Reusable<T> mixed_room;
  Reusable<T> gradient_room;
  Reusable<double> partial;
  for_each_chunk(
      pass, most_rows, device,
      [&](WeightedSums<T>& chunk) {
        if (!mixed) return;
        const std::int64_t tiles = ceil_div(chunk.rows, side);
        const std::int64_t first = chunk.first_row / side;
        T* mixtures = mixed_room.get(tiles * chunk.coef_tile_stride, device);
        const std::int64_t blocks = ceil_div(stride, kThreads);
        launch(what, mix_kernel<T>, tiles * c * blocks, device, coef, stride, args.outputs, c,
               sign_stream(args.seed), first, blocks, mixtures);
        chunk.coef = mixtures;
        chunk.coef_tile = first;
      },
      [&](const WeightedSums<T>& chunk) {
        T* g = gradient_room.get(chunk.rows * c * depth, device);
        const double* factors = roots == nullptr ? nullptr : roots + chunk.first_row;
        finish_gradients(chunk, false, roots, g, device);
        if (!args.diagonal)
          add_outer_products(g, chunk.rows * c, depth, args.sums, partial, device);
        if (args.diagonal || args.output_sums != nullptr)
          add_column_sums(g, chunk.rows, c * depth, factors, args.output_sums, squares, partial,
                          device);
      });
  const std::int64_t count = args.diagonal ? depth : entries;
  launch(what, scale_sums_kernel<T>, ceil_div(count, kThreads), device, pass.metric, args.diagonal,
         squares, c, args.sums);
  if (args.output_sums != nullptr)
    launch(what, scale_output_sums_kernel<T>, ceil_div(c * depth, kThreads), device, pass.metric,
           c * depth, args.output_sums);
}

template void gradient_sums(const GradientSumsArgs<float>&, const Device&);
template void gradient_sums(const GradientSumsArgs<double>&, const Device&);

}  // namespace fastrfm::cuda
