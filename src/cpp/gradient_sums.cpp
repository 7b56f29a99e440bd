#include "gradient_sums.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/parallel.hpp"
#include "tile/gradient_tile.hpp"
#include "tile/outer_products.hpp"
#include "tile/output_mixer.hpp"
#include "tile/parts.hpp"

namespace fastrfm {
namespace {

// Gradients of a chunk of rows wait here for their outer products. Large enough for some dozens of
// tasks, small enough never to matter; the size may not depend on the number of threads.
constexpr std::int64_t kChunkBytes = 64 << 20;

// A run of `lanes` rows of a chunk: the gradients of one output at as many points.
struct PanelRow {
  std::int64_t output;
  std::int64_t first_point;
};

// Some of the centres, packed, and the gradients that are theirs.
template <class T>
struct CentrePart {
  Source z;
  PackedPoints<T> points;
  GradientTile<T> tile;

  CentrePart(const GradientSumsArgs<T>& args, const Parts& parts, std::int64_t number,
             const Law<T>& law, const Transform<T>& transform, std::int64_t outputs,
             std::int64_t panels_wanted, Interrupt& interrupt)
      : z(slice(args.z, parts.begin(number), parts.end(number))),
        points(pack_points(z, law, transform, gradient_forms(law), interrupt)),
        tile(law, transform, args.x, z, points, outputs, args.x.rows, panels_wanted) {}
  CentrePart(const CentrePart&) = delete;
  CentrePart& operator=(const CentrePart&) = delete;
};

// Per panel of coordinates: squares (diagonal form) and, for each output, plain sums, in which each
// point has its factor (null: 1).
template <class T>
void add_row_sums(Chunk<T>& chunk, const std::vector<PanelRow>& panel_rows, const double* factors,
                  double* squares, double* output_sums, Interrupt& interrupt) {
  const std::int64_t lanes = chunk.lanes;
  const double operations =
      4.0 * static_cast<double>(chunk.depth * lanes) * static_cast<double>(panel_rows.size());
  parallel_tasks(ceil_div(chunk.depth, lanes), operations, interrupt, [&](std::int64_t b) {
    const std::int64_t columns = std::min(lanes, chunk.depth - b * lanes);
    std::int64_t r = 0;
    for (const PanelRow& run : panel_rows)
      for (std::int64_t point = 0; point < lanes; ++point, ++r) {
        const T* g = chunk.row(b, r);
        const double factor = factors == nullptr ? 1.0 : factors[run.first_point + point];
        for (std::int64_t k = 0; k < columns; ++k) {
          const auto value = static_cast<double>(g[k]);
          if (squares != nullptr) squares[b * lanes + k] += value * value;
          if (output_sums != nullptr)
            output_sums[run.output * chunk.depth + b * lanes + k] += factor * value;
        }
      }
  });
}

}  // namespace

template <class T>
void gradient_sums(const GradientSumsArgs<T>& args, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.z));
  const std::int64_t n = args.x.rows;
  const std::int64_t depth = transform.depth();
  std::optional<OutputMixer<T>> mixer;
  if (args.output_samples > 0)
    mixer.emplace(args.coef, args.z.rows, args.outputs, args.output_samples, args.seed);
  const std::int64_t c = mixer ? args.output_samples : args.outputs;
  const std::int64_t lanes = level<T>().lanes;
  const Parts parts = parts_of(args.z.rows, transform, args.part_rows);
  const std::int64_t panels_wanted = mixer ? mixer->panels_wanted(depth) : 1;
  const auto pack = [&](std::int64_t number) {
    return std::make_unique<CentrePart<T>>(args, parts, number, law, transform, c, panels_wanted,
                                           interrupt);
  };
  std::int64_t packed_number = 0;
  std::unique_ptr<CentrePart<T>> packed = pack(packed_number);
  std::fill(args.sums, args.sums + (args.diagonal ? depth : depth * depth), 0.0);
  if (args.output_sums != nullptr) std::fill(args.output_sums, args.output_sums + c * depth, 0.0);

  // A task is a tile of points and a block of outputs; its rows in the chunk follow from its index.
  const std::int64_t step = packed->tile.points_per_task();
  const std::int64_t output_block = packed->tile.output_block();
  const std::int64_t output_blocks = ceil_div(c, output_block);
  const std::int64_t tiles = ceil_div(n, step);
  const std::int64_t bytes_per_tile = step * c * depth * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t tiles_per_chunk =
      std::min(tiles, std::max<std::int64_t>(8, kChunkBytes / bytes_per_tile));
  Chunk<T> chunk(depth, tiles_per_chunk * step * c);
  std::vector<PanelRow> panel_rows;
  // Roots of the weights: gradients times these have the weighted outer products; in the sums of
  // gradients the roots come in again. Points that pad the last panels have none.
  std::vector<double> roots;
  if (args.row_weights != nullptr) {
    roots.resize(static_cast<std::size_t>(tiles * step));
    std::transform(args.row_weights, args.row_weights + n, roots.begin(),
                   [](double weight) { return std::sqrt(weight); });
  }
  const double* factors = roots.empty() ? nullptr : roots.data();
  struct Scratch {
    typename GradientTile<T>::Scratch tile;
    typename OutputMixer<T>::Scratch mixer;
  };
  const auto make_scratch = [&]() -> Scratch {
    return {packed->tile.make_scratch(),
            mixer ? mixer->make_scratch(parts.each) : typename OutputMixer<T>::Scratch{}};
  };
  for (std::int64_t first = 0; first < tiles; first += tiles_per_chunk) {
    const std::int64_t count = std::min(tiles_per_chunk, tiles - first);
    // A gradient is a sum over the centres, and the chunk is where the parts of it meet.
    for (std::int64_t part = 0; part < parts.count(); ++part) {
      if (packed_number != part) {
        packed.reset();  // before the next one takes memory
        packed = pack(part);
        packed_number = part;
      }
      const GradientTile<T>& tile = packed->tile;
      const bool last_part = part + 1 == parts.count();
      parallel_tasks(
          count * output_blocks, tile.operations(count * step), interrupt, make_scratch,
          [&](std::int64_t task, Scratch& scratch, bool calling_thread) {
            const std::int64_t t = task / output_blocks;
            const std::int64_t begin = (first + t) * step;
            const std::int64_t end = std::min(n, begin + step);
            const std::int64_t l0 = task % output_blocks * output_block;
            const std::int64_t l1 = std::min(c, l0 + output_block);
            const T* coef =
                mixer ? mixer->mix(first + t, parts.begin(part), parts.end(part), scratch.mixer)
                      : args.coef + parts.begin(part) * c;
            if (!tile.compute(begin, end, {coef, l0, l1}, scratch.tile, interrupt, calling_thread))
              return;
            const std::int64_t panels = ceil_div(end - begin, lanes);
            for (std::int64_t l = l0; l < l1; ++l)
              for (std::int64_t p = 0; p < panels; ++p) {
                const T* g = tile.gradient(scratch.tile, p, l - l0);
                const std::int64_t to = t * step * c + (l * panels + p) * lanes;
                if (part == 0)
                  chunk.put(g, to);
                else
                  chunk.add(g, to);
                if (last_part && factors != nullptr) chunk.scale(to, factors + begin + p * lanes);
              }
          });
    }
    std::int64_t used = 0;
    panel_rows.clear();
    for (std::int64_t t = 0; t < count; ++t) {
      const std::int64_t begin = (first + t) * step;
      const std::int64_t points = std::min(n, begin + step) - begin;
      const std::int64_t panels = ceil_div(points, lanes);
      for (std::int64_t l = 0; l < c; ++l)
        for (std::int64_t p = 0; p < panels; ++p) panel_rows.push_back({l, begin + p * lanes});
      used = t * step * c + panels * lanes * c;
    }
    if (!args.diagonal) add_outer_products(chunk, used, args.sums, interrupt);
    if (args.diagonal || args.output_sums != nullptr)
      add_row_sums(chunk, panel_rows, factors, args.diagonal ? args.sums : nullptr,
                   args.output_sums, interrupt);
  }

  const auto factor = [&](std::int64_t k) { return transform.gradient_factor(k); };
  if (args.diagonal) {
    for (std::int64_t k = 0; k < depth; ++k) args.sums[k] *= factor(k) * factor(k);
  } else {
    for (std::int64_t a = 0; a < depth; ++a)
      for (std::int64_t b = a; b < depth; ++b) {
        args.sums[a * depth + b] *= factor(a) * factor(b);
        args.sums[b * depth + a] = args.sums[a * depth + b];
      }
  }
  if (args.output_sums != nullptr)
    for (std::int64_t l = 0; l < c; ++l)
      for (std::int64_t k = 0; k < depth; ++k) args.output_sums[l * depth + k] *= factor(k);
}

template void gradient_sums(const GradientSumsArgs<float>&, Interrupt&);
template void gradient_sums(const GradientSumsArgs<double>&, Interrupt&);

}  // namespace fastrfm
