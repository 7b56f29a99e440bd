#define FASTRFM_LEVEL avx2
#include "vec_avx2.hpp"

#include "../tile/level_functions.hpp"
#include "levels.hpp"

namespace fastrfm {

Level<float> avx2_float() { return avx2::make_level<float>(); }
Level<double> avx2_double() { return avx2::make_level<double>(); }

}  // namespace fastrfm
