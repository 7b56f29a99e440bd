// Rectangles of K that serve their rows and their lanes: each block of values is multiplied by the
// lanes' vectors for the rows, and by the rows' vectors for the lanes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "../common/parallel.hpp"
#include "value_block.hpp"

namespace fastrfm {

// Points of a block's side. Fewer for few points: so many blocks give some dozens of threads
// something to do. Blocks begin at whole row and lane panels of every level.
template <class T>
std::int64_t block_side(std::int64_t points) {
  constexpr std::int64_t grain = 96;
  constexpr std::int64_t blocks_wanted = 24;
  static_assert(kBlock<T> % grain == 0);
  return std::min(kBlock<T>, round_up(ceil_div(points, blocks_wanted), grain));
}

// Two blocks that meet in a round; a number beyond the last block is a block that is not there.
struct Meeting {
  std::int64_t round;
  std::int64_t row_block;
  std::int64_t lane_block;
};

// An order of all pairs of `count` blocks, each block with itself included, as rounds in which every
// block takes part once: block i meets round - i, counted modulo an odd number (one more than the
// count if that is even; the block too many stands for a round off). Every block's sums therefore
// grow in the order of the rounds, whoever adds to them, and a pair has to wait for no more than its
// two blocks' last rounds.
class TriangleRounds {
 public:
  explicit TriangleRounds(std::int64_t count) : modulus_(count + 1 - count % 2) {}

  std::int64_t meetings() const { return modulus_ * each(); }
  Meeting meeting(std::int64_t number) const {
    const std::int64_t r = number / each();
    // The block that meets itself, and the two at a distance from it. Odd rounds go inwards: their
    // first pairs are of blocks that the even round before was done with long ago.
    const std::int64_t middle = r * ((modulus_ + 1) / 2) % modulus_;
    const std::int64_t step = r % 2 == 0 ? number % each() : each() - 1 - number % each();
    const std::int64_t i = (middle + step) % modulus_;
    const std::int64_t j = (middle + modulus_ - step) % modulus_;
    return {r, std::min(i, j), std::max(i, j)};
  }

 private:
  std::int64_t each() const { return (modulus_ + 1) / 2; }  // pairs a round
  std::int64_t modulus_;
};

// Likewise of all pairs of a row block and a lane block: in round r row block i meets lane block
// i + r, counted modulo the larger number of blocks.
class RectangleRounds {
 public:
  RectangleRounds(std::int64_t row_blocks, std::int64_t lane_blocks)
      : modulus_(std::max(row_blocks, lane_blocks)) {}

  std::int64_t meetings() const { return modulus_ * modulus_; }
  Meeting meeting(std::int64_t number) const {
    const std::int64_t r = number / modulus_;
    const std::int64_t i = number % modulus_;
    return {r, i, (i + r) % modulus_};
  }

 private:
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

// The rows or the lanes of a rectangle: their vectors, and the sums for them. Vectors are rows, so that
// both directions of a block read straight through: entry i of vector l at [l * stride + i]. The sums
// are double, as a point's is made of many parts.
template <class T>
struct Side {
  std::int64_t points;
  const T* vectors;
  std::int64_t stride;
  double* sums;
};

// Copies row-major vectors, points x outputs.
template <class T>
Buffer<T> as_rows(const T* vectors, std::int64_t points, std::int64_t outputs) {
  Buffer<T> rows(points * outputs);
  for (std::int64_t i = 0; i < points; ++i)
    for (std::int64_t l = 0; l < outputs; ++l) rows[l * points + i] = vectors[i * outputs + l];
  return rows;
}

// The way back.
template <class T>
void from_rows(const Buffer<double>& rows, std::int64_t points, std::int64_t outputs, T* out) {
  for (std::int64_t i = 0; i < points; ++i)
    for (std::int64_t l = 0; l < outputs; ++l)
      out[i * outputs + l] = static_cast<T>(rows[l * points + i]);
}

// sums[l * kBlock + i] += the block's values times the vectors, for its rows and, unless it is its own
// mirror image, for its lanes.
template <class T>
void multiply_block(const Block& block, const T* values, bool mirrored, const Side<T>& rows,
                    const Side<T>& lanes, std::int64_t outputs, T* row_sums, T* lane_sums) {
  const Level<T>& lv = level<T>();
  constexpr std::int64_t most = Level<T>::kSymmetricRows;
  const T none[most] = {};
  for (std::int64_t r = 0; r < block.rows(); r += most) {
    const std::int64_t count = std::min(most, block.rows() - r);
    const T* runs[most];
    for (std::int64_t i = 0; i < count; ++i) runs[i] = values + (r + i) * kBlock<T>;
    for (std::int64_t l = 0; l < outputs; ++l)
      lv.symmetric_rows[count](
          runs, block.lanes(), lanes.vectors + l * lanes.stride + block.lane_begin,
          mirrored ? none : rows.vectors + l * rows.stride + block.row_begin + r,
          lane_sums + l * kBlock<T>, row_sums + l * kBlock<T> + r);
  }
}

// All of a rectangle, or, with the same points as rows and as lanes, one triangle of a square. Adds
// to the sums of both sides, in an order that does not depend on the threads.
template <class T, class Rounds>
void multiply_both_ways(const ValueBlock<T>& values, const Rounds& rounds, double pairs,
                        const Side<T>& rows, const Side<T>& lanes, bool triangle,
                        std::int64_t outputs, Interrupt& interrupt) {
  const std::int64_t row_side = block_side<T>(rows.points);
  const std::int64_t lane_side = block_side<T>(lanes.points);
  const std::int64_t row_blocks = ceil_div(rows.points, row_side);
  const std::int64_t lane_blocks = ceil_div(lanes.points, lane_side);
  Turns of_rows(row_blocks);
  Turns of_lanes(triangle ? 0 : lane_blocks);
  Turns& lane_turns = triangle ? of_rows : of_lanes;

  struct Scratch {
    Buffer<T> values;
    Buffer<T> row_sums;
    Buffer<T> lane_sums;
    std::vector<double> work;
  };
  const auto add = [&](const Buffer<T>& part, const Side<T>& side, std::int64_t begin,
                       std::int64_t end) {
    for (std::int64_t l = 0; l < outputs; ++l)
      for (std::int64_t i = begin; i < end; ++i)
        side.sums[l * side.stride + i] += static_cast<double>(part[l * kBlock<T> + i - begin]);
  };
  parallel_tasks(
      rounds.meetings(), values.operations(pairs) + 4.0 * pairs * static_cast<double>(outputs),
      interrupt,
      [&] {
        return Scratch{Buffer<T>(kBlock<T> * kBlock<T>),
                       Buffer<T>(outputs * kBlock<T>),
                       Buffer<T>(outputs * kBlock<T>),
                       {}};
      },
      [&](std::int64_t number, Scratch& scratch, bool calling_thread) {
        const auto [round, i, j] = rounds.meeting(number);
        const bool has_rows = i < row_blocks;
        // A block that meets itself takes one turn.
        const bool mirrored = triangle && i == j;
        const bool has_lanes = j < lane_blocks && !mirrored;
        const bool real = has_rows && j < lane_blocks;
        const Block block{i * row_side, std::min(rows.points, (i + 1) * row_side), j * lane_side,
                          std::min(lanes.points, (j + 1) * lane_side)};
        if (real) {
          if (!values.compute(block, scratch.values.data(), scratch.work, interrupt, calling_thread,
                              [] {}))
            return;
          scratch.row_sums.clear();
          scratch.lane_sums.clear();
          multiply_block(block, scratch.values.data(), mirrored, rows, lanes, outputs,
                         scratch.row_sums.data(), scratch.lane_sums.data());
        }
        // Only the sums are shared: the turn is waited for as late as possible.
        if (has_rows && !of_rows.wait(i, round, interrupt, calling_thread)) return;
        if (has_lanes && !lane_turns.wait(j, round, interrupt, calling_thread)) return;
        if (real) {
          add(scratch.row_sums, rows, block.row_begin, block.row_end);
          if (!mirrored) add(scratch.lane_sums, lanes, block.lane_begin, block.lane_end);
        }
        if (has_rows) of_rows.done(i, round);
        if (has_lanes) lane_turns.done(j, round);
      });
}

}  // namespace fastrfm
