// K V for Z = X from one triangle of K. The tiles of a diagonal, (I, I + s) for all I counted modulo
// the number of tiles B, meet every tile once as rows and once as columns: so each pair of tiles has a
// slot of its own for the sums of its rows, and one for those of its columns, and the slots of some
// diagonals are added up in their order. No atomics, and every pair {I, J} is in one diagonal with
// s <= B / 2 (for s = B / 2 the first half of the tiles is all pairs already).
#include "kernel_matmul.hpp"
#include "weight_tile.cuh"

namespace fastrfm::cuda {
namespace {

constexpr std::int64_t kSlotBytes = 64 << 20;
// Outputs that share a tile in shared memory; with more than kMostOutputs in all, their own products
// outweigh the distances that symmetry saves (counted: 4 operations an output and pair against 2 k).
constexpr int kOutputsEach = 4;
constexpr std::int64_t kMostOutputs = 16;

// A block's tile has fewer columns than rows: a square of the diagonal is so many tiles.
template <class T>
constexpr int kParts = Shape<T>::side / kCentres;

template <class T>
struct SymmetricPass {
  Metric<T> metric;
  PackedPoints<T> x;
  const T* v;  // [output][point], x.stride apart
  std::int64_t outputs;
  std::int64_t tiles;     // B
  std::int64_t diagonal;  // s of the first slot
  std::int64_t diagonals;
  T* row_sums;     // [slot][part][output][point]
  T* column_sums;  // [slot][output][point]
};

// Whether (I, I + s) is there: see above.
__device__ __forceinline__ bool has_pair(std::int64_t tiles, std::int64_t s, std::int64_t tile) {
  return 2 * s < tiles || tile < s;
}

template <class T, Form F>
__global__ void __launch_bounds__(kThreads, kBlocksEach<F>)
    symmetric_kernel(const __grid_constant__ SymmetricPass<T> pass) {
  constexpr int side = Shape<T>::side;
  constexpr int shares = kThreads / side;  // threads of a row
  constexpr int each = kCentres / shares;  // centres of such a thread
  constexpr int warps = kThreads / 32;
  __shared__ WeightTile<T> weights;
  __shared__ WeightStages<F, T> stages;
  __shared__ T of_share[shares][side];

  // Parts and diagonals run fastest: neighbouring blocks then read the same points, from L2.
  const std::int64_t part = blockIdx.x % kParts<T>;
  const std::int64_t slot = blockIdx.x / kParts<T> % pass.diagonals;
  const std::int64_t tile = blockIdx.x / kParts<T> / pass.diagonals;
  const std::int64_t s = pass.diagonal + slot;
  if (!has_pair(pass.tiles, s, tile)) return;
  const std::int64_t i0 = tile * side;
  const std::int64_t j0 = (tile + s) % pass.tiles * side + part * kCentres;
  compute_weights<F, false>(pass.metric, pass.x, i0, pass.x, j0, stages, weights);

  const int row = static_cast<int>(threadIdx.x) % side;
  const int share = static_cast<int>(threadIdx.x) / side;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t stride = pass.x.stride;
  T* row_sums = pass.row_sums + (slot * kParts<T> + part) * pass.outputs * stride + i0;
  T* column_sums = pass.column_sums + slot * pass.outputs * stride + j0;
  for (std::int64_t l0 = 0; l0 < pass.outputs; l0 += kOutputsEach) {
    const int outputs = static_cast<int>(min(std::int64_t{kOutputsEach}, pass.outputs - l0));
    const T* v = pass.v + l0 * stride;
    T totals[kOutputsEach] = {};
    for (int j = share * each; j < (share + 1) * each; ++j) {
      const T k = weights.of(j, row);
#pragma unroll
      for (int l = 0; l < kOutputsEach; ++l)
        if (l < outputs) totals[l] = fma(k, __ldg(v + l * stride + j0 + j), totals[l]);
    }
#pragma unroll
    for (int l = 0; l < kOutputsEach; ++l) {
      if (l >= outputs) break;
      of_share[share][row] = totals[l];
      __syncthreads();
      if (share == 0) {
        T total = T(0);
        for (int other = 0; other < shares; ++other) total += of_share[other][row];
        row_sums[(l0 + l) * stride + row] = total;
      }
      __syncthreads();
    }
    if (s == 0) continue;  // the tile is its own mirror image
    // A warp a centre: its lanes read a line of the tile.
    T own[kOutputsEach][side / 32];
#pragma unroll
    for (int l = 0; l < kOutputsEach; ++l)
#pragma unroll
      for (int e = 0; e < side / 32; ++e)
        own[l][e] = l < outputs ? v[l * stride + i0 + lane + 32 * e] : T(0);
#pragma unroll 2
    for (int j = warp; j < kCentres; j += warps) {
      T k[side / 32];
#pragma unroll
      for (int e = 0; e < side / 32; ++e) k[e] = weights.of(j, lane + 32 * e);
#pragma unroll
      for (int l = 0; l < kOutputsEach; ++l) {
        if (l >= outputs) break;
        T sum = T(0);
#pragma unroll
        for (int e = 0; e < side / 32; ++e) sum = fma(k[e], own[l][e], sum);
#pragma unroll
        for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, step);
        if (lane == 0) column_sums[(l0 + l) * stride + j] = sum;
      }
    }
  }
}

// totals[l][i] += the slots' sums, in the order of the slots; the last time, out[i][l] = totals.
template <class T>
__global__ void add_slots_kernel(const __grid_constant__ SymmetricPass<T> pass, double* totals,
                                 T* out) {
  const std::int64_t stride = pass.x.stride;
  const std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (e >= pass.outputs * stride) return;
  const std::int64_t i = e % stride;
  if (i >= pass.x.count) return;
  const std::int64_t tile = i / Shape<T>::side;
  const std::int64_t all = pass.outputs * stride;
  double sum = totals[e];
  for (std::int64_t slot = 0; slot < pass.diagonals; ++slot) {
    const std::int64_t s = pass.diagonal + slot;
    if (has_pair(pass.tiles, s, tile))
      for (std::int64_t part = 0; part < kParts<T>; ++part)
        sum += static_cast<double>(pass.row_sums[(slot * kParts<T> + part) * all + e]);
    if (s > 0 && has_pair(pass.tiles, s, (tile + pass.tiles - s) % pass.tiles))
      sum += static_cast<double>(pass.column_sums[slot * all + e]);
  }
  totals[e] = sum;
  if (out != nullptr) out[i * pass.outputs + e / stride] = static_cast<T>(sum);
}

template <class T>
void launch_form(const SymmetricPass<T>& pass, const Device& device) {
  const std::int64_t blocks = pass.tiles * kParts<T> * pass.diagonals;
  constexpr const char* what = "kernel_matmul";
  with_form(pass.metric, 0, [&](auto form) {
    launch(what, symmetric_kernel<T, decltype(form)::value>, blocks, device, pass);
  });
}

}  // namespace

template <class T>
void kernel_matmul_symmetric(const KernelMatmulArgs<T>& args, const Device& device) {
  if (args.outputs > kMostOutputs) {
    KernelMatmulArgs<T> both = args;
    both.z = args.x;
    kernel_matmul(both, device);
    return;
  }
  const std::int64_t c = args.outputs;
  const Metric<T> metric = make_metric<T>(args.kernel, args.root, args.x.features, device);
  const PackedPoints<T> x = pack_points<T>(args.x, metric, central_point(args.x, device), device);
  const T* v = pack_columns<T>(args.v, args.x.rows, c, x.stride, device);
  const std::int64_t tiles = ceil_div(x.count, Shape<T>::side);
  const std::int64_t all = tiles / 2 + 1;  // diagonals
  const std::int64_t slot = c * x.stride;
  const std::int64_t fit =
      kSlotBytes / ((kParts<T> + 1) * slot * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t at_once = fit < 1 ? 1 : (fit < all ? fit : all);
  SymmetricPass<T> pass{metric,
                        x,
                        v,
                        c,
                        tiles,
                        0,
                        0,
                        device.array<T>(at_once * kParts<T> * slot),
                        device.array<T>(at_once * slot)};
  auto* totals = device.array<double>(slot);
  check(cudaMemsetAsync(totals, 0, static_cast<std::size_t>(slot) * sizeof(double),
                        static_cast<cudaStream_t>(device.stream)),
        "kernel_matmul");
  for (pass.diagonal = 0; pass.diagonal < all; pass.diagonal += at_once) {
    pass.diagonals = all - pass.diagonal < at_once ? all - pass.diagonal : at_once;
    launch_form(pass, device);
    const bool last = pass.diagonal + pass.diagonals == all;
    launch("kernel_matmul", add_slots_kernel<T>, ceil_div(slot, kThreads), device, pass, totals,
           last ? args.out : nullptr);
  }
}

template void kernel_matmul_symmetric(const KernelMatmulArgs<float>&, const Device&);
template void kernel_matmul_symmetric(const KernelMatmulArgs<double>&, const Device&);

}  // namespace fastrfm::cuda
