#define FASTRFM_LEVEL baseline
#include "vec_baseline.hpp"

#include "../tile/level_functions.hpp"
#include "levels.hpp"

namespace fastrfm {

Level<float> baseline_float() { return baseline::make_level<float>(); }
Level<double> baseline_double() { return baseline::make_level<double>(); }

}  // namespace fastrfm
