#include "dispatch.hpp"

#include <algorithm>
#include <stdexcept>

#include "levels.hpp"

namespace fastrfm {
namespace {

struct Choice {
  std::string name;
  Level<float> single;
  Level<double> twice;
};

Choice make_choice(const std::string& name) {
#ifdef FASTRFM_HAVE_X86_LEVELS
  if (name == "avx512") return {name, avx512_float(), avx512_double()};
  if (name == "avx2") return {name, avx2_float(), avx2_double()};
#endif
  return {name, baseline_float(), baseline_double()};
}

Choice& current() {
  static Choice choice = make_choice(supported_levels().back());
  return choice;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::vector<std::string> compiled_levels() {
#ifdef FASTRFM_HAVE_X86_LEVELS
  return {"baseline", "avx2", "avx512"};
#else
  return {"baseline"};
#endif
}

std::vector<std::string> supported_levels() {
  std::vector<std::string> levels = {"baseline"};
#ifdef FASTRFM_HAVE_X86_LEVELS
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2) levels.emplace_back("avx2");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    levels.emplace_back("avx512");
#endif
  return levels;
}

void select_level(const std::string& name) {
  const auto supported = supported_levels();
  if (std::find(supported.begin(), supported.end(), name) == supported.end()) {
    const auto compiled = compiled_levels();
    const bool known = std::find(compiled.begin(), compiled.end(), name) != compiled.end();
    throw std::invalid_argument("FASTRFM_ISA=" + name +
                                (known ? " is not supported by this machine" : " is unknown") +
                                "; use one of: " + joined(supported));
  }
  current() = make_choice(name);
}

const std::string& selected_level() { return current().name; }

template <>
const Level<float>& level<float>() {
  return current().single;
}
template <>
const Level<double>& level<double>() {
  return current().twice;
}

}  // namespace fastrfm
