#define FASTRFM_LEVEL avx512
#include "vec_avx512.hpp"

#include "../tile/level_functions.hpp"
#include "levels.hpp"

namespace fastrfm {

Level<float> avx512_float() { return avx512::make_level<float>(); }
Level<double> avx512_double() { return avx512::make_level<double>(); }

}  // namespace fastrfm
