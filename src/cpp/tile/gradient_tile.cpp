#include "gradient_tile.hpp"

#include <algorithm>

#include "../common/laplace.hpp"

namespace fastrfm {
namespace {

// A thread's accumulators stay below this: a few L2 caches, streamed once a centre block.
constexpr std::int64_t kAccumulatorBytes = 4 << 20;

template <class T>
struct Collector {
  std::vector<typename GradientTile<T>::TouchingPair>& pairs;
  std::int64_t panel;
  std::int64_t first_centre;

  // TileArgs::touch: notes the pair and gives it weight zero (S = 0 is the cusp).
  static T note(void* context, int row, int lane) {
    auto& self = *static_cast<Collector*>(context);
    self.pairs.push_back({self.panel, lane, self.first_centre + row});
    return T(0);
  }
};

}  // namespace

template <class T>
GradientTile<T>::GradientTile(const Law<T>& law, const Transform<T>& transform, const Source& x,
                              const Source& z, const PackedPoints<T>& centres, const T* coef,
                              std::int64_t outputs, std::int64_t points)
    : lv_(level<T>()),
      law_(law),
      transform_(transform),
      x_(x),
      z_(z),
      centres_(centres),
      coef_(coef),
      outputs_(outputs),
      lanes_(lv_.lanes),
      depth_(transform.depth()),
      columns_(law.norm == Norm::two ? depth_ + 1 : depth_),
      output_block_(std::clamp<std::int64_t>(
          kAccumulatorBytes / (columns_ * lanes_ * static_cast<std::int64_t>(sizeof(T))), 1,
          outputs)),
      panels_(panels_per_task<T>(points, (columns_ + 1) * output_block_ + depth_)) {}

template <class T>
typename GradientTile<T>::Scratch GradientTile<T>::make_scratch() const {
  const bool product = law_.norm == Norm::two;
  return Scratch{LaneTile<T>(panels_, transform_),
                 Buffer<T>(kCentreBlock * lanes_),
                 Buffer<T>(product ? kCentreBlock * lanes_ : 0),
                 Buffer<T>(kCentreBlock * lanes_ * (product ? 1 : output_block_)),
                 Buffer<T>(panels_ * output_block_ * columns_ * lanes_),
                 std::vector<unsigned char>(kCentreBlock),
                 {},
                 {},
                 std::vector<double>(static_cast<std::size_t>(depth_))};
}

template <class T>
bool GradientTile<T>::compute(std::int64_t begin, std::int64_t end, std::int64_t l0,
                              std::int64_t l1, Scratch& scratch, Interrupt& interrupt,
                              bool calling_thread) const {
  scratch.tile.pack(x_, law_, transform_, begin, end);
  scratch.gradients.clear();
  for (std::int64_t j0 = 0; j0 < centres_.count; j0 += kCentreBlock) {
    const std::int64_t block = std::min(kCentreBlock, centres_.count - j0);
    scratch.touching.clear();
    for (std::int64_t p = 0; p < scratch.tile.panels; ++p) {
      if (interrupt.poll(calling_thread)) return false;
      weights(p, j0, block, scratch);
      if (law_.norm == Norm::two)
        sum_products(p, j0, block, l0, l1, scratch);
      else
        sum_differences(p, j0, block, l0, l1, scratch);
    }
    add_touching(l0, l1, scratch);
  }
  for (std::int64_t p = 0; p < scratch.tile.panels; ++p) finish(p, l0, l1, scratch);
  return true;
}

template <class T>
void GradientTile<T>::weights(std::int64_t panel, std::int64_t j0, std::int64_t block,
                              Scratch& scratch) const {
  const auto tile = lv_.weights[static_cast<int>(law_.norm)][static_cast<int>(law_.radial)];
  Collector<T> collector{scratch.touching, panel, 0};
  TileArgs<T> args{};
  args.depth = depth_;
  args.coordinate_weights = transform_.coordinate_weights();
  args.stride = lanes_;
  args.touch = Collector<T>::note;
  args.context = &collector;
  args.lanes = scratch.tile.points.data() + panel * lanes_ * depth_;
  args.lane_sizes = scratch.tile.sizes.data() + panel * lanes_;
  std::fill(scratch.near_rows.begin(), scratch.near_rows.end(), static_cast<unsigned char>(0));
  for (std::int64_t j = 0; j < block; j += lv_.tile_rows) {
    args.rows = centres_.row_panels.data() + (j0 + j) * depth_;
    args.row_sizes = centres_.row_sizes.data() + j0 + j;
    // Other p sum the packed differences, so there a touching pair has to be taken out.
    if (law_.norm == Norm::two && transform_.has_rest()) {
      args.rows_rest = centres_.row_rest.data() + (j0 + j) * depth_;
      args.lanes_rest = scratch.tile.rest.data() + panel * lanes_ * depth_;
    }
    args.out = scratch.weights.data() + j * lanes_;
    if (law_.norm == Norm::two) {
      args.near_out = scratch.near_weights.data() + j * lanes_;
      args.near_rows = scratch.near_rows.data() + j;
    }
    args.largest_size =
        centres_.largest_in_rows[static_cast<std::size_t>((j0 + j) / lv_.tile_rows)] +
        scratch.tile.largest[static_cast<std::size_t>(panel)];
    collector.first_centre = j0 + j;
    tile(args, law_);
  }
}

template <class T>
void GradientTile<T>::sum_products(std::int64_t panel, std::int64_t j0, std::int64_t block,
                                   std::int64_t l0, std::int64_t l1, Scratch& scratch) const {
  const T* x = scratch.tile.points.data() + panel * lanes_ * depth_;
  for (std::int64_t l = l0; l < l1; ++l) {
    const T* coef = coef_ + j0 * outputs_ + l;
    T* sums = gradient(scratch, panel, l - l0);
    lv_.scale_rows(scratch.weights.data(), coef, outputs_, block, scratch.scaled.data());
    for (std::int64_t k = 0; k < columns_; k += lv_.tile_rows)
      lv_.accumulate[std::min<std::int64_t>(lv_.tile_rows, columns_ - k)](
          centres_.by_column.data() + k * centres_.count + j0 * lv_.tile_rows, lv_.tile_rows,
          scratch.scaled.data(), block, sums + k * lanes_, lanes_);
    for (std::int64_t j = 0; j < block; ++j) {
      if (scratch.near_rows[static_cast<std::size_t>(j)] == 0) continue;
      const std::int64_t row = j0 + j;
      const std::int64_t at = row / lv_.tile_rows * lv_.tile_rows * depth_ + row % lv_.tile_rows;
      typename Level<T>::NearArgs args{};
      args.z = centres_.row_panels.data() + at;
      args.z_stride = lv_.tile_rows;
      args.x = x;
      if (transform_.has_rest()) {
        args.z_rest = centres_.row_rest.data() + at;
        args.x_rest = scratch.tile.rest.data() + panel * lanes_ * depth_;
      }
      args.weights = scratch.near_weights.data() + j * lanes_;
      args.factor = coef[j * outputs_];
      args.depth = depth_;
      args.c = sums;
      lv_.near_gradient(args);
    }
  }
}

template <class T>
void GradientTile<T>::sum_differences(std::int64_t panel, std::int64_t j0, std::int64_t block,
                                      std::int64_t l0, std::int64_t l1, Scratch& scratch) const {
  const std::int64_t stride = kCentreBlock * lanes_;
  for (std::int64_t l = l0; l < l1; ++l)
    lv_.scale_rows(scratch.weights.data(), coef_ + j0 * outputs_ + l, outputs_, block,
                   scratch.scaled.data() + (l - l0) * stride);
  for (std::int64_t k = 0; k < depth_; k += lv_.tile_rows) {
    typename Level<T>::DifferenceArgs args{};
    args.z = centres_.by_column.data() + k * centres_.count + j0 * lv_.tile_rows;
    args.z_stride = lv_.tile_rows;
    args.x = scratch.tile.points.data() + (panel * depth_ + k) * lanes_;
    args.weights = scratch.scaled.data();
    args.weight_stride = stride;
    args.depth = block;
    args.coordinates = static_cast<int>(std::min<std::int64_t>(lv_.tile_rows, depth_ - k));
    args.outputs = static_cast<int>(l1 - l0);
    args.c = gradient(scratch, panel, 0) + k * lanes_;
    args.c_output_stride = columns_ * lanes_;
    lv_.differences[static_cast<int>(law_.norm)](args, law_);
  }
}

template <class T>
void GradientTile<T>::finish(std::int64_t panel, std::int64_t l0, std::int64_t l1,
                             Scratch& scratch) const {
  const std::int64_t valid =
      std::clamp<std::int64_t>(scratch.tile.count - panel * lanes_, 0, lanes_);
  const T* x = scratch.tile.points.data() + panel * lanes_ * depth_;
  for (std::int64_t l = l0; l < l1; ++l) {
    T* g = gradient(scratch, panel, l - l0);
    if (law_.norm == Norm::two) {
      const T* s = g + depth_ * lanes_;
      for (std::int64_t k = 0; k < depth_; ++k)
        for (std::int64_t lane = 0; lane < lanes_; ++lane)
          g[k * lanes_ + lane] = s[lane] * x[k * lanes_ + lane] - g[k * lanes_ + lane];
    }
    if (valid < lanes_)
      for (std::int64_t k = 0; k < depth_; ++k)
        std::fill(g + k * lanes_ + valid, g + (k + 1) * lanes_, T(0));
  }
}

// For p = 2 the accumulators hold T, so a pair's own term enters with the opposite sign.
template <class T>
void GradientTile<T>::add_touching(std::int64_t l0, std::int64_t l1, Scratch& scratch) const {
  const double sign = law_.norm == Norm::two ? -1.0 : 1.0;
  const auto p = static_cast<double>(law_.norm_power);
  for (const TouchingPair& pair : scratch.touching) {
    const std::int64_t i = scratch.tile.first + pair.panel * lanes_ + pair.lane;
    const double s =
        transform_.exact_pair(x_, i, z_, pair.centre, scratch.work, scratch.difference.data());
    const double omega = sign * weight(s);
    if (omega == 0.0) continue;
    for (std::int64_t k = 0; k < depth_; ++k) {
      const double u = scratch.difference[static_cast<std::size_t>(k)];
      double phi = u;
      if (law_.norm == Norm::one)
        phi = coordinate_gradient<Norm::one>(u, p, 1.0);
      else if (law_.norm == Norm::general)
        phi = coordinate_gradient<Norm::general>(u, p, 1.0);
      for (std::int64_t l = l0; l < l1; ++l)
        gradient(scratch, pair.panel, l - l0)[k * lanes_ + pair.lane] +=
            static_cast<T>(static_cast<double>(coef_[pair.centre * outputs_ + l]) * omega * phi);
    }
  }
}

template <class T>
double GradientTile<T>::weight(double s) const {
  const auto power = static_cast<double>(law_.radial_power);
  const auto decay = static_cast<double>(law_.decay);
  const auto cusp = static_cast<double>(law_.cusp);
  switch (law_.radial) {
    case Radial::identity:
      return gradient_weight<Radial::identity>(s, power, decay, cusp);
    case Radial::square_root:
      return gradient_weight<Radial::square_root>(s, power, decay, cusp);
    default:
      return gradient_weight<Radial::power>(s, power, decay, cusp);
  }
}

template class GradientTile<float>;
template class GradientTile<double>;

}  // namespace fastrfm
