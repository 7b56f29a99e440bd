// Random mixtures of the outputs, drawn anew for each tile of points.
//
// With R (c x s) of independent signs, E[R R^T] = s I. So the s outputs coef R / sqrt(s) have
//   E[sum_a g_a g_a^T] = sum_l g_l g_l^T
// over the signs. A sign is a hash of (seed, tile, output, sample): no generator has a state, and
// the bits do not depend on which thread takes a tile.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "../common/buffer.hpp"
#include "../common/signs.hpp"
#include "level.hpp"

namespace fastrfm {

template <class T>
class OutputMixer {
 public:
  struct Scratch {
    Buffer<T> signs;  // outputs x samples, divided by sqrt(samples)
    Buffer<T> panel;  // samples x lanes
    Buffer<T> mixed;  // centres of a part x samples
  };

  OutputMixer(const T* coef, std::int64_t centres, std::int64_t outputs, std::int64_t samples,
              std::uint64_t seed)
      : lv_(level<T>()),
        centres_(centres),
        outputs_(outputs),
        samples_(samples),
        seed_(sign_stream(seed)),
        coef_(round_up(centres, level<T>().lanes) * outputs) {
    coef_.clear();  // the centres that pad the last panel
    const std::int64_t lanes = lv_.lanes;
    for (std::int64_t j = 0; j < centres; ++j)
      for (std::int64_t l = 0; l < outputs; ++l)
        coef_[(j / lanes * outputs + l) * lanes + j % lanes] = coef[j * outputs + l];
  }

  // For mixing so many centres at a time.
  Scratch make_scratch(std::int64_t most) const {
    return {Buffer<T>(outputs_ * samples_), Buffer<T>(samples_ * lv_.lanes),
            Buffer<T>(std::min(most, centres_) * samples_)};
  }

  // A tile's mixed coefficients of centres [begin, end), in rows of `samples`; they live in the
  // scratch. `begin` is a multiple of the level's lanes.
  const T* mix(std::int64_t tile, std::int64_t begin, std::int64_t end, Scratch& scratch) const {
    draw_signs(tile, scratch.signs);
    const std::int64_t lanes = lv_.lanes;
    for (std::int64_t j0 = begin; j0 < end; j0 += lanes) {
      scratch.panel.clear();
      for (std::int64_t a = 0; a < samples_; a += lv_.tile_rows)
        lv_.accumulate[std::min<std::int64_t>(lv_.tile_rows, samples_ - a)](
            scratch.signs.data() + a, samples_, coef_.data() + j0 * outputs_, outputs_,
            scratch.panel.data() + a * lanes, lanes);
      const std::int64_t count = std::min(lanes, end - j0);
      for (std::int64_t a = 0; a < samples_; ++a)
        for (std::int64_t lane = 0; lane < count; ++lane)
          scratch.mixed[(j0 - begin + lane) * samples_ + a] = scratch.panel[a * lanes + lane];
    }
    return scratch.mixed.data();
  }

  // Lane panels of points a tile wants, so that mixing is a small part of its work. Mixing takes
  // about outputs x max(samples, 4) / 2 fused operations a centre (below 4 samples it waits for
  // the additions), a point `depth` (1 + samples) and some 30 for its weight.
  std::int64_t panels_wanted(std::int64_t depth) const {
    constexpr std::int64_t small_part = 16;
    const std::int64_t mixing = outputs_ * std::max<std::int64_t>(samples_, 4) / 2;
    const std::int64_t panel = lv_.lanes * (depth * (1 + samples_) + 30);
    return ceil_div(small_part * mixing, panel);
  }

 private:
  void draw_signs(std::int64_t tile, Buffer<T>& signs) const {
    const T size = static_cast<T>(1.0 / std::sqrt(static_cast<double>(samples_)));
    const std::int64_t count = outputs_ * samples_;
    for (std::int64_t i = 0; i < count; ++i)
      signs[i] = positive_sign(seed_, tile * count + i) ? size : -size;
  }

  const Level<T>& lv_;
  std::int64_t centres_;
  std::int64_t outputs_;
  std::int64_t samples_;
  std::uint64_t seed_;
  Buffer<T> coef_;  // [panel of centres][output][centre]
};

}  // namespace fastrfm
