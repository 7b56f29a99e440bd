// The choice of an instruction-set level at run time.
#pragma once

#include <string>
#include <vector>

namespace fastrfm {

std::vector<std::string> compiled_levels();   // lowest first
std::vector<std::string> supported_levels();  // those that this machine can run
// Switches to `name`; std::invalid_argument if it is unknown, not compiled or not supported.
void select_level(const std::string& name);
const std::string& selected_level();

}  // namespace fastrfm
