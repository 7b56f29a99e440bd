// What was compiled and what this machine runs.
#include <pybind11/stl.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "../common/fork.hpp"
#include "../common/parallel.hpp"
#include "../simd/dispatch.hpp"
#include "register.hpp"

namespace fastrfm::bind {

namespace py = pybind11;

void register_machine(py::module_& module) {
  // FASTRFM_ISA forces a level. Read once, at import: a level must not change under running ops.
  if (const char* name = std::getenv("FASTRFM_ISA"); name != nullptr && *name != '\0') {
    try {
      select_level(name);
    } catch (const std::invalid_argument& error) {
      throw py::import_error(error.what());
    }
  }
  register_fork_handlers();
  module.attr("__version__") = FASTRFM_VERSION;
#ifdef _OPENMP
  module.attr("has_openmp") = true;
#else
  module.attr("has_openmp") = false;
#endif
  module.def("isa_level", &selected_level, "The instruction-set level in use.");
  module.def("compiled_isa_levels", &compiled_levels, "Levels in this build, lowest first.");
  module.def("supported_isa_levels", &supported_levels, "Levels that this machine can run.");
  module.def("max_threads", &max_threads, "Threads that the next op would use.");
}

}  // namespace fastrfm::bind
