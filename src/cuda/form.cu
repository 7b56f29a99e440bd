#include "form.hpp"

#include <cstdlib>
#include <string>

#include "primitives.cuh"

namespace fastrfm::cuda {
namespace {

// From so many operations a pair on. Counted, not measured: with fewer K is bound by its writes, 1.33
// ps a pair on an H100 against 0.017 ps an operation on plain cores and 0.010 by three TF32 products.
constexpr std::int64_t kTensorFlops = 128;

// The first compute capability whose tensor cores take TF32.
constexpr int kTensorCapability = 8;

int capability() {
  int device = 0;
  int major = 0;
  check(cudaGetDevice(&device), "current device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
        "compute capability");
  return major;
}

}  // namespace

bool uses_tensor_cores(std::int64_t flops) {
  const char* asked = std::getenv("FASTRFM_CUDA_TIER");
  const std::string tier = asked == nullptr ? "" : asked;
  if (tier == "simt") return false;
  if (!tier.empty() && tier != "tensor")
    throw Error("FASTRFM_CUDA_TIER must be simt or tensor; got \"" + tier + "\"");
  const bool able = capability() >= kTensorCapability;
  if (tier.empty()) return able && flops >= kTensorFlops;
  if (!able) throw Error("FASTRFM_CUDA_TIER is tensor, but this GPU has no tensor cores for TF32");
  return true;
}

}  // namespace fastrfm::cuda
