#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "common/parallel.hpp"
#include "kernel_matmul.hpp"
#include "tile/value_block.hpp"

namespace fastrfm {
namespace {

// Fewer points a block for small n: so many blocks give some dozens of threads something to do.
constexpr std::int64_t kBlocksWanted = 24;

// An order of all pairs of `count` blocks, each block with itself included, as rounds in which every
// block takes part once: block i meets round - i, counted modulo an odd number (one more than the
// count if that is even; the block too many stands for a round off). Every block's sums therefore
// grow in the order of the rounds, whoever adds to them, and a pair has to wait for no more than its
// two blocks' last rounds.
class Rounds {
 public:
  explicit Rounds(std::int64_t count) : count_(count), modulus_(count + 1 - count % 2) {}

  std::int64_t pairs() const { return modulus_ * each(); }
  std::int64_t round(std::int64_t pair) const { return pair / each(); }

  // The pair's blocks; either may be `count`, the block that is not there.
  std::pair<std::int64_t, std::int64_t> blocks(std::int64_t pair) const {
    const std::int64_t r = round(pair);
    // The block that meets itself, and the two at a distance from it. Odd rounds go inwards: their
    // first pairs are of blocks that the even round before was done with long ago.
    const std::int64_t middle = r * ((modulus_ + 1) / 2) % modulus_;
    const std::int64_t step = r % 2 == 0 ? pair % each() : each() - 1 - pair % each();
    return {(middle + step) % modulus_, (middle + modulus_ - step) % modulus_};
  }

 private:
  std::int64_t each() const { return (modulus_ + 1) / 2; }  // pairs a round
  std::int64_t count_;
  std::int64_t modulus_;
};

// How many rounds each block has had.
class Turns {
 public:
  explicit Turns(std::int64_t blocks)
      : had_(std::make_unique<std::atomic<std::int64_t>[]>(static_cast<std::size_t>(blocks))) {}

  // False if the pass was stopped meanwhile.
  bool wait(std::int64_t block, std::int64_t round, Interrupt& interrupt,
            bool calling_thread) const {
    const auto& had = had_[static_cast<std::size_t>(block)];
    for (int spins = 0; had.load(std::memory_order_acquire) != round; ++spins) {
      if (interrupt.poll(calling_thread)) return false;
      if (spins > 64) std::this_thread::yield();
    }
    return true;
  }
  void done(std::int64_t block, std::int64_t round) {
    had_[static_cast<std::size_t>(block)].store(round + 1, std::memory_order_release);
  }

 private:
  std::unique_ptr<std::atomic<std::int64_t>[]> had_;
};

// sums[l * side + i] += the block's values times v, for its rows and, off the diagonal, its lanes.
template <class T>
void add_block(const Block& block, const T* values, const T* v, std::int64_t v_stride,
               std::int64_t outputs, T* row_sums, T* lane_sums) {
  const Level<T>& lv = level<T>();
  constexpr std::int64_t most = Level<T>::kSymmetricRows;
  const bool diagonal = block.row_begin == block.lane_begin;
  const T none[most] = {};
  for (std::int64_t r = 0; r < block.rows(); r += most) {
    const std::int64_t count = std::min(most, block.rows() - r);
    const T* rows[most];
    for (std::int64_t i = 0; i < count; ++i) rows[i] = values + (r + i) * kBlock<T>;
    for (std::int64_t l = 0; l < outputs; ++l) {
      const T* own = v + l * v_stride;
      lv.symmetric_rows[count](rows, block.lanes(), own + block.lane_begin,
                               diagonal ? none : own + block.row_begin + r,
                               lane_sums + l * kBlock<T>, row_sums + l * kBlock<T> + r);
    }
  }
}

}  // namespace

template <class T>
void kernel_matmul_symmetric(const KernelMatmulArgs<T>& args, Interrupt& interrupt) {
  const Law<T> law = law_for<T>(args.kernel, args.root, args.x.features);
  const Transform<T> transform(law, args.root, args.x.features, central_point(args.x));
  const PackedPoints<T> points =
      pack_points(args.x, law, transform, {true, true, false}, interrupt);
  const ValueBlock<T> values(law, transform, args.x, args.x, points, points);
  const std::int64_t n = args.x.rows;
  const std::int64_t c = args.outputs;
  // Blocks begin at whole row and lane panels of every level.
  constexpr std::int64_t grain = 96;
  static_assert(kBlock<T> % grain == 0);
  const std::int64_t side = std::min(kBlock<T>, round_up(ceil_div(n, kBlocksWanted), grain));
  const std::int64_t blocks = ceil_div(n, side);
  const Rounds rounds(blocks);
  Turns turns(blocks);

  // Vectors as rows: both directions of a block then read straight through.
  Buffer<T> v(c * n);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t l = 0; l < c; ++l) v[l * n + i] = args.v[i * c + l];
  // In double: a row's sum is made of n / side parts.
  Buffer<double> sums(c * n);
  sums.clear();

  struct Scratch {
    Buffer<T> values{kBlock<T> * kBlock<T>};
    Buffer<T> row_sums;
    Buffer<T> lane_sums;
    std::vector<double> work;
  };
  const auto add = [&](const Buffer<T>& part, std::int64_t begin, std::int64_t end) {
    for (std::int64_t l = 0; l < c; ++l)
      for (std::int64_t i = begin; i < end; ++i)
        sums[l * n + i] += static_cast<double>(part[l * kBlock<T> + i - begin]);
  };
  const double pairs = 0.5 * static_cast<double>(n) * static_cast<double>(n);
  parallel_tasks(
      rounds.pairs(), values.operations(pairs) + 4.0 * pairs * static_cast<double>(c), interrupt,
      [&] {
        return Scratch{Buffer<T>(kBlock<T> * kBlock<T>),
                       Buffer<T>(c * kBlock<T>),
                       Buffer<T>(c * kBlock<T>),
                       {}};
      },
      [&](std::int64_t pair, Scratch& scratch, bool calling_thread) {
        const std::int64_t round = rounds.round(pair);
        auto [i, j] = rounds.blocks(pair);
        if (i > j) std::swap(i, j);
        if (i == blocks) return;  // the block that is not there meets itself
        const bool real = j < blocks;
        const Block block{i * side, std::min(n, (i + 1) * side), j * side,
                          std::min(n, (j + 1) * side)};
        if (real) {
          if (!values.compute(block, scratch.values.data(), scratch.work, interrupt, calling_thread,
                              [] {}))
            return;
          scratch.row_sums.clear();
          scratch.lane_sums.clear();
          add_block(block, scratch.values.data(), v.data(), n, c, scratch.row_sums.data(),
                    scratch.lane_sums.data());
        }
        // Only the sums are shared: the turn is waited for as late as possible.
        if (!turns.wait(i, round, interrupt, calling_thread)) return;
        if (real && i != j && !turns.wait(j, round, interrupt, calling_thread)) return;
        if (real) {
          add(scratch.row_sums, block.row_begin, block.row_end);
          if (i != j) add(scratch.lane_sums, block.lane_begin, block.lane_end);
        }
        turns.done(i, round);
        if (real && i != j) turns.done(j, round);
      });
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t l = 0; l < c; ++l) args.out[i * c + l] = static_cast<T>(sums[l * n + i]);
}

template void kernel_matmul_symmetric(const KernelMatmulArgs<float>&, Interrupt&);
template void kernel_matmul_symmetric(const KernelMatmulArgs<double>&, Interrupt&);

}  // namespace fastrfm
