#include "gradients.hpp"

#include <algorithm>

#include "common/parallel.hpp"
#include "tile/gradient_tile.hpp"
#include "tile/parts.hpp"

namespace fastrfm {
namespace {

// All rows, for one part of the centres: `args.z` and `args.coef` are the part's. Adds to `out`, but
// for the first part.
template <class T>
void gradients_of_part(const GradientArgs<T>& args, const Law<T>& law,
                       const Transform<T>& transform, bool first_part, Interrupt& interrupt) {
  const PackedPoints<T> centres =
      pack_points(args.z, law, transform, gradient_forms(law), interrupt);
  const std::int64_t n = args.x.rows;
  const std::int64_t d = transform.features();
  const std::int64_t lanes = level<T>().lanes;
  const GradientTile<T> tile(law, transform, args.x, args.z, centres, args.outputs, n);

  struct Scratch {
    typename GradientTile<T>::Scratch tile;
    Buffer<T> input_space;  // [feature][lane]
  };
  const auto make_scratch = [&] { return Scratch{tile.make_scratch(), Buffer<T>(d * lanes)}; };
  const std::int64_t step = tile.points_per_task();
  const std::int64_t blocks = ceil_div(args.outputs, tile.output_block());
  const auto body = [&](std::int64_t task, Scratch& scratch, bool calling_thread) {
    const std::int64_t begin = task / blocks * step;
    const std::int64_t end = std::min(n, begin + step);
    const std::int64_t l0 = task % blocks * tile.output_block();
    const std::int64_t l1 = std::min(args.outputs, l0 + tile.output_block());
    if (!tile.compute(begin, end, {args.coef, l0, l1}, scratch.tile, interrupt, calling_thread))
      return;
    for (std::int64_t p = 0; p * lanes < end - begin; ++p)
      for (std::int64_t l = l0; l < l1; ++l) {
        T* g = scratch.input_space.data();
        transform.to_input_space(tile.gradient(scratch.tile, p, l - l0), g);
        const std::int64_t count = std::min(lanes, end - begin - p * lanes);
        for (std::int64_t lane = 0; lane < count; ++lane) {
          T* out = args.out + ((begin + p * lanes + lane) * args.outputs + l) * d;
          for (std::int64_t k = 0; k < d; ++k)
            out[k] = first_part ? g[k * lanes + lane] : out[k] + g[k * lanes + lane];
        }
      }
  };
  parallel_tasks(ceil_div(n, step) * blocks, tile.operations(n), interrupt, make_scratch, body);
}

}  // namespace

template <class T>
void gradients(const GradientArgs<T>& args, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.z));
  const Parts parts = parts_of(args.z.rows, transform, args.part_rows);
  for (std::int64_t p = 0; p < parts.count(); ++p) {
    GradientArgs<T> part = args;
    part.z = slice(args.z, parts.begin(p), parts.end(p));
    part.coef = args.coef + parts.begin(p) * args.outputs;
    gradients_of_part(part, law, transform, p == 0, interrupt);
  }
}

template void gradients(const GradientArgs<float>&, Interrupt&);
template void gradients(const GradientArgs<double>&, Interrupt&);

}  // namespace fastrfm
