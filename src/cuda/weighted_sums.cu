#include "weighted_sums.hpp"

#include <algorithm>

#include "differences.cuh"
#include "narrow.cuh"
#include "products.cuh"

namespace fastrfm::cuda {
namespace {

// So few outputs of K V are summed by threads of their own: a product makes 128 columns of them.
constexpr int kNarrow = 16;
constexpr int kBlocksWanted = 512;
constexpr std::int64_t kMostParts = 16;
// One register sums at most so many centres: beyond, rounding would show.
constexpr std::int64_t kCentresEach = 16384;
// With more blocks of columns than this, weights are computed once, for all of them: to compute a tile
// again takes 2 k operations a pair, a block of columns 2 x 128 (counted, not measured).
constexpr std::int64_t kSlabsFused = 2;
constexpr std::int64_t kChunkSide = 4096;

template <class T, Form F>
void launch_origin(Origin origin, const SumsPass<T>& pass, std::int64_t blocks,
                   const Device& device) {
  constexpr const char* what = "weighted sums";
  if (origin == Origin::kernel && pass.sums.outputs == 1)
    launch(what, narrow_kernel<T, F, 1>, blocks, device, pass);
  else if (origin == Origin::kernel && pass.sums.outputs <= kNarrow / 4)
    launch(what, narrow_kernel<T, F, kNarrow / 4>, blocks, device, pass);
  else if (origin == Origin::kernel && pass.sums.outputs <= kNarrow)
    launch(what, narrow_kernel<T, F, kNarrow>, blocks, device, pass);
  else if (origin == Origin::kernel)
    launch(what, products_kernel<T, F, Origin::kernel>, blocks, device, pass);
  else if constexpr (is_product<F>)
    launch(what,
           origin == Origin::gradient ? products_kernel<T, F, Origin::gradient>
                                      : products_kernel<T, F, Origin::chunk>,
           blocks, device, pass);
  else
    launch(what,
           origin == Origin::gradient ? differences_kernel<T, F, Origin::gradient>
                                      : differences_kernel<T, F, Origin::chunk>,
           blocks, device, pass);
}

template <class T>
void launch_form(Origin origin, const SumsPass<T>& pass, const Device& device) {
  const std::int64_t blocks = pass.tiles * pass.slabs * pass.sums.parts;
  const bool narrow = origin == Origin::kernel && pass.sums.outputs <= kNarrow;
  with_form(pass.sums.metric, narrow ? 0 : pass.sums.columns(), [&](auto form) {
    launch_origin<T, decltype(form)::value>(origin, pass, blocks, device);
  });
}

template <class T>
std::int64_t slabs_of(const WeightedSums<T>& sums) {
  if (sums.weighing == Weighing::kernel || sums.metric.law.norm == Norm::two)
    return ceil_div(sums.columns(), Slab<T>::columns);
  return ceil_div(sums.metric.depth, Slab<T>::coordinates) *
         ceil_div(sums.outputs, Slab<T>::outputs);
}

}  // namespace

template <class T>
std::int64_t tile_rows() {
  return Shape<T>::side;
}

template <class T>
std::int64_t parts_for(const WeightedSums<T>& pass, std::int64_t rows) {
  const std::int64_t slabs = slabs_of(pass);
  const bool fused = pass.weighing == Weighing::kernel || slabs <= kSlabsFused;
  const std::int64_t at_once = std::min(rows, pass.x.count);
  const std::int64_t tiles =
      ceil_div(fused ? at_once : std::min(at_once, kChunkSide), Shape<T>::side);
  const std::int64_t wanted = ceil_div(kBlocksWanted, tiles * slabs);
  const std::int64_t possible = ceil_div(pass.z.count, 4 * kCentres);
  return std::clamp<std::int64_t>(std::min(wanted, possible), 1, kMostParts);
}

template <class T>
std::int64_t rows_per_chunk(const WeightedSums<T>& pass, std::int64_t bytes) {
  constexpr std::int64_t side = Shape<T>::side;
  const std::int64_t fit =
      bytes / (pass.columns() * pass.parts * static_cast<std::int64_t>(sizeof(T)));
  return std::min(std::max(side, fit / side * side), round_up(pass.x.count, side));
}

template <class T>
void launch_weighted_sums(const WeightedSums<T>& sums, WeightRoom<T>& room, const Device& device) {
  constexpr std::int64_t side = Shape<T>::side;
  const std::int64_t tiles = ceil_div(sums.rows, side);
  const std::int64_t padded_rows = tiles * side;
  SumsPass<T> pass{sums, tiles, padded_rows, slabs_of(sums), 0, 0, 0, sums.per_output(), {}};
  check(cudaMemsetAsync(
            sums.sums, 0,
            static_cast<std::size_t>(sums.parts * padded_rows * sums.columns()) * sizeof(T),
            static_cast<cudaStream_t>(device.stream)),
        "weighted sums");
  const std::int64_t centres = round_up(sums.z.count, kCentres);
  if (sums.weighing == Weighing::kernel || pass.slabs <= kSlabsFused) {
    const std::int64_t at_once = sums.parts * kCentresEach;
    for (pass.begin = 0; pass.begin < centres; pass.begin += at_once) {
      const std::int64_t left = centres - pass.begin;
      pass.end = pass.begin + (left < at_once ? left : at_once);
      pass.per_part = round_up(ceil_div(pass.end - pass.begin, sums.parts), kCentres);
      launch_form(sums.weighing == Weighing::kernel ? Origin::kernel : Origin::gradient, pass,
                  device);
    }
    return;
  }
  const std::int64_t height = std::min(sums.z.stride, kChunkSide);
  const std::int64_t width = std::min(padded_rows, kChunkSide);
  T* weights = room.weights.get(height * width, device);
  int* flags = room.flags.get(height / side * (width / side), device);
  for (std::int64_t i = 0; i < padded_rows; i += width) {
    const std::int64_t rows = std::min(width, padded_rows - i);
    pass.tiles = rows / side;
    pass.sums.first_row = sums.first_row + i;
    pass.sums.sums = sums.sums + i * sums.columns();
    for (pass.begin = 0; pass.begin < sums.z.stride; pass.begin += height) {
      const std::int64_t centres_here = std::min(height, sums.z.stride - pass.begin);
      pass.chunk = {weights, flags, pass.begin, centres_here, pass.sums.first_row, rows};
      launch_weight_chunk(sums.metric, sums.z, sums.x, pass.chunk, device);
      pass.end = pass.begin + centres_here;
      pass.per_part = round_up(ceil_div(centres_here, sums.parts), kCentres);
      launch_form(Origin::chunk, pass, device);
    }
  }
}

#define FASTRFM_INSTANTIATE(T)                                                \
  template std::int64_t tile_rows<T>();                                       \
  template std::int64_t parts_for(const WeightedSums<T>&, std::int64_t);      \
  template std::int64_t rows_per_chunk(const WeightedSums<T>&, std::int64_t); \
  template void launch_weighted_sums(const WeightedSums<T>&, WeightRoom<T>&, const Device&);
FASTRFM_INSTANTIATE(float)
FASTRFM_INSTANTIATE(double)
#undef FASTRFM_INSTANTIATE

}  // namespace fastrfm::cuda
