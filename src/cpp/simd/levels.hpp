// What each level's translation unit exports.
#pragma once

#include "../tile/level.hpp"

namespace fastrfm {

Level<float> baseline_float();
Level<double> baseline_double();
#ifdef FASTRFM_HAVE_X86_LEVELS
Level<float> avx2_float();
Level<double> avx2_double();
Level<float> avx512_float();
Level<double> avx512_double();
#endif

}  // namespace fastrfm
