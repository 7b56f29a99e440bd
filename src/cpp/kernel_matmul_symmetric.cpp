#include <cstdint>

#include "kernel_matmul.hpp"
#include "tile/parts.hpp"
#include "tile/symmetric_pass.hpp"

namespace fastrfm {
namespace {

template <class T>
Side<T> side_of(const Buffer<T>& vectors, Buffer<double>& sums, std::int64_t stride,
                std::int64_t begin, std::int64_t end) {
  return {end - begin, vectors.data() + begin, stride, sums.data() + begin};
}

template <class T>
void multiply_rectangle(const Law<T>& law, const Transform<T>& transform, const Source& x,
                        const Source& z, const PackedPoints<T>& rows, const Side<T>& row_side,
                        const Side<T>& lane_side, std::int64_t outputs, Interrupt& interrupt) {
  const PackedPoints<T> lanes = pack_points(z, law, transform, {false, true, false}, interrupt);
  const ValueBlock<T> values(law, transform, x, z, rows, lanes);
  const RectangleRounds rounds(ceil_div(row_side.points, block_side<T>(row_side.points)),
                               ceil_div(lane_side.points, block_side<T>(lane_side.points)));
  const double pairs = static_cast<double>(x.rows) * static_cast<double>(z.rows);
  multiply_both_ways(values, rounds, pairs, row_side, lane_side, false, outputs, interrupt);
}

}  // namespace

template <class T>
void kernel_matmul_symmetric(const KernelMatmulArgs<T>& args, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.x));
  const std::int64_t n = args.x.rows;
  const std::int64_t c = args.outputs;
  const Buffer<T> vectors = as_rows(args.v, n, c);
  Buffer<double> sums(c * n);
  sums.clear();
  const Parts parts = parts_of(n, transform, args.part_rows);
  for (std::int64_t p = 0; p < parts.count(); ++p) {
    const Source x = slice(args.x, parts.begin(p), parts.end(p));
    const Side<T> own = side_of(vectors, sums, n, parts.begin(p), parts.end(p));
    PackedPoints<T> points = pack_points(x, law, transform, {true, true, false}, interrupt);
    {
      const ValueBlock<T> values(law, transform, x, x, points, points);
      const TriangleRounds rounds(ceil_div(x.rows, block_side<T>(x.rows)));
      const double pairs = 0.5 * static_cast<double>(x.rows) * static_cast<double>(x.rows);
      multiply_both_ways(values, rounds, pairs, own, own, true, c, interrupt);
    }
    // From here on these are rows: the lanes are those of the other parts.
    points.lane_panels = Buffer<T>();
    points.lane_rest = Buffer<T>();
    for (std::int64_t q = p + 1; q < parts.count(); ++q)
      multiply_rectangle(law, transform, x, slice(args.x, parts.begin(q), parts.end(q)), points,
                         own, side_of(vectors, sums, n, parts.begin(q), parts.end(q)), c,
                         interrupt);
  }
  from_rows(sums, n, c, args.out);
}

template <class T>
void kernel_matmul_both_ways(const KernelMatmulBothWaysArgs<T>& args, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.z));
  const std::int64_t n = args.x.rows;
  const std::int64_t m = args.z.rows;
  const std::int64_t c = args.outputs;
  const Buffer<T> of_rows = as_rows(args.u, n, c);
  const Buffer<T> of_lanes = as_rows(args.v, m, c);
  Buffer<double> row_sums(c * n);
  Buffer<double> lane_sums(c * m);
  row_sums.clear();
  lane_sums.clear();
  const Parts row_parts = parts_of(n, transform, args.part_rows);
  const Parts lane_parts = parts_of(m, transform, args.part_rows);
  for (std::int64_t p = 0; p < row_parts.count(); ++p) {
    const Source x = slice(args.x, row_parts.begin(p), row_parts.end(p));
    const PackedPoints<T> rows = pack_points(x, law, transform, {true, false, false}, interrupt);
    const Side<T> own = side_of(of_rows, row_sums, n, row_parts.begin(p), row_parts.end(p));
    for (std::int64_t q = 0; q < lane_parts.count(); ++q)
      multiply_rectangle(
          law, transform, x, slice(args.z, lane_parts.begin(q), lane_parts.end(q)), rows, own,
          side_of(of_lanes, lane_sums, m, lane_parts.begin(q), lane_parts.end(q)), c, interrupt);
  }
  from_rows(row_sums, n, c, args.out_x);
  from_rows(lane_sums, m, c, args.out_z);
}

template void kernel_matmul_symmetric(const KernelMatmulArgs<float>&, Interrupt&);
template void kernel_matmul_symmetric(const KernelMatmulArgs<double>&, Interrupt&);
template void kernel_matmul_both_ways(const KernelMatmulBothWaysArgs<float>&, Interrupt&);
template void kernel_matmul_both_ways(const KernelMatmulBothWaysArgs<double>&, Interrupt&);

}  // namespace fastrfm
