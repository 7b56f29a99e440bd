#include "gradient_tile.hpp"

#include <algorithm>

#include "../common/laplace.hpp"

namespace fastrfm {
namespace {

// A thread's accumulators stay below this: a few L2 caches, streamed once a centre block.
constexpr std::int64_t kAccumulatorBytes = 4 << 20;
// The scaled centres of a block stay below this: they are read from L2, once a lane panel.
constexpr std::int64_t kScaledBytes = 256 << 10;

// How many outputs' scaled centres fit; 0 where it is not cheaper to scale them than the weights.
template <class T>
std::int64_t scaled_outputs(const Law<T>& law, std::int64_t columns, std::int64_t panels,
                            std::int64_t outputs) {
  const std::int64_t padded = round_up(columns, level<T>().tile_rows);
  // Measured, n = 10,000, float32, AVX-512 (128 points a task), weights scaled / centres scaled:
  // d = 10 c = 10 1.30, d = 32 c = 10 1.07, d = 50 c = 10 1.03, d = 100 c = 1 0.99, c = 3 1.00.
  if (law.norm != Norm::two || 4 * padded > 3 * panels * level<T>().lanes) return 0;
  const std::int64_t bytes = kCentreBlock * padded * static_cast<std::int64_t>(sizeof(T));
  return std::clamp<std::int64_t>(kScaledBytes / bytes, 1, outputs);
}

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
                              const Source& z, const PackedPoints<T>& centres, std::int64_t outputs,
                              std::int64_t points, std::int64_t panels_wanted)
    : lv_(level<T>()),
      law_(law),
      transform_(transform),
      x_(x),
      z_(z),
      centres_(centres),
      outputs_(outputs),
      lanes_(lv_.lanes),
      depth_(transform.depth()),
      columns_(law.norm == Norm::two ? depth_ + 1 : depth_),
      output_block_(std::clamp<std::int64_t>(
          kAccumulatorBytes / (columns_ * lanes_ * static_cast<std::int64_t>(sizeof(T))), 1,
          outputs)),
      panels_(panels_per_task<T>(points, (columns_ + 1) * output_block_ + depth_, panels_wanted)),
      scaled_outputs_(scaled_outputs(law, columns_, panels_, output_block_)) {}

template <class T>
typename GradientTile<T>::Scratch GradientTile<T>::make_scratch() const {
  const bool product = law_.norm == Norm::two;
  const std::int64_t weights = kCentreBlock * lanes_;
  const std::int64_t scaled = kCentreBlock * round_up(columns_, lv_.tile_rows) * scaled_outputs_;
  return Scratch{LaneTile<T>(panels_, transform_),
                 Buffer<T>(product ? panels_ * weights : weights),
                 Buffer<T>(product ? panels_ * weights : 0),
                 Buffer<T>(scaled > 0 ? scaled : weights * (product ? 1 : output_block_)),
                 Buffer<T>(panels_ * output_block_ * columns_ * lanes_),
                 std::vector<unsigned char>(static_cast<std::size_t>(panels_ * kCentreBlock)),
                 {},
                 {},
                 std::vector<double>(static_cast<std::size_t>(depth_))};
}

template <class T>
bool GradientTile<T>::compute(std::int64_t begin, std::int64_t end, const Outputs& outputs,
                              Scratch& scratch, Interrupt& interrupt, bool calling_thread) const {
  scratch.tile.pack(x_, law_, transform_, begin, end);
  scratch.gradients.clear();
  for (std::int64_t j0 = 0; j0 < centres_.count; j0 += kCentreBlock) {
    const std::int64_t block = std::min(kCentreBlock, centres_.count - j0);
    scratch.touching.clear();
    for (std::int64_t p = 0; p < scratch.tile.panels; ++p) {
      if (interrupt.poll(calling_thread)) return false;
      weights(p, j0, block, scratch);
      if (law_.norm != Norm::two) sum_differences(p, j0, block, outputs, scratch);
    }
    if (law_.norm == Norm::two) sum_products(j0, block, outputs, scratch);
    add_touching(outputs, scratch);
  }
  for (std::int64_t p = 0; p < scratch.tile.panels; ++p)
    finish(p, outputs.l1 - outputs.l0, scratch);
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
  // p = 2 keeps the weights of all panels until the products.
  const std::int64_t first = law_.norm == Norm::two ? panel * kCentreBlock : 0;
  unsigned char* near_rows = scratch.near_rows.data() + first;
  std::fill(near_rows, near_rows + kCentreBlock, static_cast<unsigned char>(0));
  for (std::int64_t j = 0; j < block; j += lv_.tile_rows) {
    args.rows = centres_.row_panels.data() + (j0 + j) * depth_;
    args.row_sizes = centres_.row_sizes.data() + j0 + j;
    // Other p sum the packed differences, so there a touching pair has to be taken out.
    if (law_.norm == Norm::two && transform_.has_rest()) {
      args.rows_rest = centres_.row_rest.data() + (j0 + j) * depth_;
      args.lanes_rest = scratch.tile.rest.data() + panel * lanes_ * depth_;
    }
    args.out = scratch.weights.data() + (first + j) * lanes_;
    if (law_.norm == Norm::two) {
      args.near_out = scratch.near_weights.data() + (first + j) * lanes_;
      args.near_rows = near_rows + j;
    }
    args.largest_size =
        centres_.largest_in_rows[static_cast<std::size_t>((j0 + j) / lv_.tile_rows)] +
        scratch.tile.largest[static_cast<std::size_t>(panel)];
    collector.first_centre = j0 + j;
    tile(args, law_);
  }
}

template <class T>
void GradientTile<T>::sum_products(std::int64_t j0, std::int64_t block, const Outputs& outputs,
                                   Scratch& scratch) const {
  const auto [coef, l0, l1] = outputs;
  const std::int64_t rows = lv_.tile_rows;
  const std::int64_t groups = ceil_div(columns_, rows);
  const std::int64_t group_stride = centres_.count * rows;
  const T* columns = centres_.by_column.data() + j0 * rows;
  const std::int64_t at_once = scaled_outputs_ > 0 ? scaled_outputs_ : l1 - l0;
  for (std::int64_t first = l0; first < l1; first += at_once) {
    const std::int64_t last = std::min(l1, first + at_once);
    T* scaled = scratch.scaled.data();
    if (scaled_outputs_ > 0)
      for (std::int64_t l = first; l < last; ++l)
        for (std::int64_t g = 0; g < groups; ++g)
          lv_.scale_columns(columns + g * group_stride, coef + j0 * outputs_ + l, outputs_, block,
                            scaled + ((l - first) * groups + g) * block * rows);
    for (std::int64_t panel = 0; panel < scratch.tile.panels; ++panel)
      for (std::int64_t l = first; l < last; ++l) {
        const T* omega = scratch.weights.data() + panel * kCentreBlock * lanes_;
        T* sums = gradient(scratch, panel, l - l0);
        if (scaled_outputs_ > 0) {
          add_product(scaled + (l - first) * groups * block * rows, block * rows, omega, block,
                      sums);
        } else {
          lv_.scale_rows(omega, coef + j0 * outputs_ + l, outputs_, block, scaled);
          add_product(columns, group_stride, scaled, block, sums);
        }
        add_near(panel, j0, block, coef + l, sums, scratch);
      }
  }
}

// sums[k] += sum_j columns[k][j] factors[j]: T and S, as one of the two factors holds coefficients.
template <class T>
void GradientTile<T>::add_product(const T* columns, std::int64_t group_stride, const T* factors,
                                  std::int64_t block, T* sums) const {
  const std::int64_t rows = lv_.tile_rows;
  for (std::int64_t k = 0; k < columns_; k += rows)
    lv_.accumulate[std::min(rows, columns_ - k)](columns + k / rows * group_stride, rows, factors,
                                                 block, sums + k * lanes_, lanes_);
}

template <class T>
void GradientTile<T>::add_near(std::int64_t panel, std::int64_t j0, std::int64_t block,
                               const T* coef, T* sums, const Scratch& scratch) const {
  const unsigned char* near_rows = scratch.near_rows.data() + panel * kCentreBlock;
  for (std::int64_t j = 0; j < block; ++j) {
    if (near_rows[j] == 0) continue;
    const std::int64_t row = j0 + j;
    const std::int64_t at = row / lv_.tile_rows * lv_.tile_rows * depth_ + row % lv_.tile_rows;
    typename Level<T>::NearArgs args{};
    args.z = centres_.row_panels.data() + at;
    args.z_stride = lv_.tile_rows;
    args.x = scratch.tile.points.data() + panel * lanes_ * depth_;
    if (transform_.has_rest()) {
      args.z_rest = centres_.row_rest.data() + at;
      args.x_rest = scratch.tile.rest.data() + panel * lanes_ * depth_;
    }
    args.weights = scratch.near_weights.data() + (panel * kCentreBlock + j) * lanes_;
    args.factor = coef[row * outputs_];
    args.depth = depth_;
    args.c = sums;
    lv_.near_gradient(args);
  }
}

template <class T>
void GradientTile<T>::sum_differences(std::int64_t panel, std::int64_t j0, std::int64_t block,
                                      const Outputs& outputs, Scratch& scratch) const {
  const auto [coef, l0, l1] = outputs;
  const std::int64_t stride = kCentreBlock * lanes_;
  for (std::int64_t l = l0; l < l1; ++l)
    lv_.scale_rows(scratch.weights.data(), coef + j0 * outputs_ + l, outputs_, block,
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
void GradientTile<T>::finish(std::int64_t panel, std::int64_t outputs, Scratch& scratch) const {
  const std::int64_t valid =
      std::clamp<std::int64_t>(scratch.tile.count - panel * lanes_, 0, lanes_);
  const T* x = scratch.tile.points.data() + panel * lanes_ * depth_;
  for (std::int64_t l = 0; l < outputs; ++l) {
    T* g = gradient(scratch, panel, l);
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
void GradientTile<T>::add_touching(const Outputs& outputs, Scratch& scratch) const {
  const auto [coef, l0, l1] = outputs;
  const double sign = law_.norm == Norm::two ? -1.0 : 1.0;
  const auto p = static_cast<double>(law_.norm_power);
  for (const TouchingPair& pair : scratch.touching) {
    const std::int64_t i = scratch.tile.first + pair.panel * lanes_ + pair.lane;
    // Padding, beside a point so far that it has no finite size to be held against.
    if (i >= x_.rows || pair.centre >= z_.rows) continue;
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
            static_cast<T>(static_cast<double>(coef[pair.centre * outputs_ + l]) * omega * phi);
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
