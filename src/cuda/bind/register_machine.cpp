// What was compiled and what this machine runs.
#include "../device.hpp"
#include "register.hpp"

namespace fastrfm::cuda::bind {

void register_machine(pybind11::module_& module) {
  module.attr("__version__") = FASTRFM_VERSION;
  module.attr("emulated") = FASTRFM_EMULATED != 0;
  module.attr("architectures") = FASTRFM_ARCHITECTURES;
  module.def("device_count", &device_count, "GPUs that CUDA sees; 0 where there is no driver.");
  module.def("runtime_version", &runtime_version, "CUDA in this build: 13000 is 13.0.");
  module.def("driver_version", &driver_version,
             "The newest CUDA that the driver takes; 0 where there is none.");
}

}  // namespace fastrfm::cuda::bind
