// Gradients of the predictor at one tile of points, in panel coordinates: what `gradients` writes
// out and `gradient_sums` adds up.
//
//   g_l(x) = sum_j coef[j, l] omega(x, z_j) phi(u_j),  u_j = x - z_j       (common/laplace.hpp)
//
// p = 2: phi(u) = u, so g_l = x S_l - T_l with S_l = sum_j coef omega and T_l = sum_j coef omega z_j:
// a second matrix product. Pairs so close that the subtraction would cancel are left out of it and
// added by differences; pairs closer still, from the caller's rows in double. The coefficients of
// an output scale the weights, or the centres' coordinates where those are fewer.
// Other p: the differences are summed as they are.
#pragma once

#include <cstdint>
#include <vector>

#include "../common/interrupt.hpp"
#include "row_tile.hpp"

namespace fastrfm {

template <class T>
class GradientTile {
 public:
  // Outputs are handled `output_block()` at a time, to bound a thread's accumulators. A task takes
  // at least `panels_wanted` lane panels of points, within its usual bounds.
  GradientTile(const Law<T>& law, const Transform<T>& transform, const Source& x, const Source& z,
               const PackedPoints<T>& centres, std::int64_t outputs, std::int64_t points,
               std::int64_t panels_wanted = 1);

  std::int64_t points_per_task() const { return panels_ * lanes_; }
  std::int64_t output_block() const { return output_block_; }
  // Rough count of operations at `points` points, for planning.
  double operations(std::int64_t points) const {
    return static_cast<double>(points) * static_cast<double>(centres_.count) *
           (1.0 + static_cast<double>(outputs_)) * law_.operations(depth_);
  }

  struct TouchingPair {
    std::int64_t panel;
    std::int64_t lane;    // in the panel
    std::int64_t centre;  // in z
  };

  struct Scratch {
    LaneTile<T> tile;
    Buffer<T> weights;       // omega of a centre block, [panel][centre][lane]; p != 2: one panel
    Buffer<T> near_weights;  // likewise, of near pairs
    // Coefficients times weights, [output][centre][lane], or times the centres of a block,
    // [output][column group][centre][column].
    Buffer<T> scaled;
    Buffer<T> gradients;  // [panel][output][column][lane]; columns = depth, and S for p = 2
    std::vector<unsigned char> near_rows;  // [panel][centre]
    std::vector<TouchingPair> touching;
    std::vector<double> work;
    std::vector<double> difference;
  };
  Scratch make_scratch() const;

  // Coefficients (centres x all outputs, row-major), and the outputs [l0, l1) that are wanted.
  struct Outputs {
    const T* coef;
    std::int64_t l0;
    std::int64_t l1;
  };

  // Gradients of some outputs at points [begin, end), into scratch.gradients; false if
  // interrupted. Lanes beyond the last point hold zeros.
  bool compute(std::int64_t begin, std::int64_t end, const Outputs& outputs, Scratch& scratch,
               Interrupt& interrupt, bool calling_thread) const;

  // Where the gradient of a panel's output (counted from l0) starts in scratch.gradients.
  T* gradient(Scratch& scratch, std::int64_t panel, std::int64_t output) const {
    return scratch.gradients.data() + (panel * output_block_ + output) * columns_ * lanes_;
  }

 private:
  void weights(std::int64_t panel, std::int64_t j0, std::int64_t block, Scratch& scratch) const;
  void sum_products(std::int64_t j0, std::int64_t block, const Outputs& outputs,
                    Scratch& scratch) const;
  void add_product(const T* columns, std::int64_t group_stride, const T* factors,
                   std::int64_t block, T* sums) const;
  void add_near(std::int64_t panel, std::int64_t j0, std::int64_t block, const T* coef, T* sums,
                const Scratch& scratch) const;
  void sum_differences(std::int64_t panel, std::int64_t j0, std::int64_t block,
                       const Outputs& outputs, Scratch& scratch) const;
  void finish(std::int64_t panel, std::int64_t outputs, Scratch& scratch) const;
  void add_touching(const Outputs& outputs, Scratch& scratch) const;
  double weight(double s) const;

  const Level<T>& lv_;
  const Law<T>& law_;
  const Transform<T>& transform_;
  const Source& x_;
  const Source& z_;
  const PackedPoints<T>& centres_;
  std::int64_t outputs_;
  std::int64_t lanes_;
  std::int64_t depth_;
  std::int64_t columns_;
  std::int64_t output_block_;
  std::int64_t panels_;
  std::int64_t scaled_outputs_;  // outputs whose scaled centres fit the scratch; 0: scale weights
};

// The packed forms of the centres that GradientTile reads.
template <class T>
Forms gradient_forms(const Law<T>&) {
  return {true, false, true};
}

}  // namespace fastrfm
