// Launching a grid: its blocks are shared out among the threads of the system.
//
// FASTRFM_EMULATOR_ORDER, read once: in which order the threads of a block run. 0: by index; 1: from
// the last to the first; more: the seed of a shuffle. Results must not depend on it.
#pragma once

#include <cstddef>
#include <tuple>
#include <utility>

#include "block.hpp"
#include "runtime_api.hpp"
#include "vector_types.hpp"

struct cudaLaunchAttribute;

struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

namespace emulator {

unsigned thread_order();
bool copies_are_early();

// Runs the grid to its end, whatever the stream. Refuses what CUDA refuses.
cudaError_t launch(const void* kernel, const cudaLaunchConfig_t& config, const Body& body);

}  // namespace emulator

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  // CUDA too converts once, and hands every thread a copy.
  using Call = std::pair<void (*)(Parameters...), std::tuple<Parameters...>>;
  static_assert((sizeof(Parameters) + ... + 0) <= 4096, "more than a kernel's parameters may take");
  const Call call(kernel, std::tuple<Parameters...>(std::forward<Arguments>(arguments)...));
  const auto run = [](const void* p) {
    const auto* c = static_cast<const Call*>(p);
    std::apply(c->first, c->second);
  };
  return emulator::launch(reinterpret_cast<const void*>(kernel), *config, {run, &call});
}
