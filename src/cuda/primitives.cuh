// Small things that every kernel uses: launches, 16-byte loads, asynchronous copies, marks.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>
#include <utility>

#include "../cpp/common/inline.hpp"
#include "device.hpp"

namespace fastrfm::cuda {

// Threads a block, in every kernel: a tile's threads form a square of 16 by 16.
inline constexpr int kThreads = 256;
inline constexpr int kSide = 16;

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // what a launch could not do must not be held against the next one
  throw Error(std::string(what) + ": " + cudaGetErrorName(error) + ", " +
              cudaGetErrorString(error));
}

// Queues `kernel` on `blocks` blocks. `what` names the op.
template <class... P, class... A>
void launch(const char* what, void (*kernel)(P...), std::int64_t blocks, const Device& device,
            A&&... args) {
  if (blocks <= 0) return;
  if (blocks > 0x7fffffff) throw Error(std::string(what) + ": more tiles than a launch can have");
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kThreads);
  config.stream = static_cast<cudaStream_t>(device.stream);
  check(cudaLaunchKernelEx(&config, kernel, std::forward<A>(args)...), what);
}

FASTRFM_INLINE std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
FASTRFM_INLINE std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// 16 bytes of T: what one load or store of a thread moves.
template <class T>
struct Vector;
template <>
struct Vector<float> {
  using type = float4;
  static constexpr int width = 4;
};
template <>
struct Vector<double> {
  using type = double2;
  static constexpr int width = 2;
};

template <class T, int N = Vector<T>::width>
struct alignas(N * sizeof(T)) Pack {
  T at[N];
};

template <class T>
__device__ __forceinline__ Pack<T> load(const T* p) {
  return *reinterpret_cast<const Pack<T>*>(p);
}

// Past the caches: K is written once and read by something else.
__device__ __forceinline__ void store_streaming(float* p, const Pack<float>& v) {
  __stcs(reinterpret_cast<float4*>(p), make_float4(v.at[0], v.at[1], v.at[2], v.at[3]));
}
__device__ __forceinline__ void store_streaming(float* p, const Pack<float, 2>& v) {
  __stcs(reinterpret_cast<float2*>(p), make_float2(v.at[0], v.at[1]));
}
__device__ __forceinline__ void store_streaming(double* p, const Pack<double>& v) {
  __stcs(reinterpret_cast<double2*>(p), make_double2(v.at[0], v.at[1]));
}

// 16 bytes from global to shared memory, without a register in between where the GPU can (sm_80).
__device__ __forceinline__ void copy_async(void* shared, const void* global) {
#if defined(CUDA_EMU)
  emulator::copy_async(shared, global, 16);
#elif __CUDA_ARCH__ >= 800
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(to), "l"(global) : "memory");
#else
  *static_cast<int4*>(shared) = *static_cast<const int4*>(global);
#endif
}

__device__ __forceinline__ void commit_copies() {
#if defined(CUDA_EMU)
  emulator::commit_copies();
#elif __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

// Waits for this thread's groups of copies but the newest `Left`.
template <int Left>
__device__ __forceinline__ void wait_copies() {
#if defined(CUDA_EMU)
  emulator::wait_copies(Left);
#elif __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Left) : "memory");
#endif
}

// A pair's weight in the gradient is positive or zero. Where the pair is so close that the products
// of a tile would cancel, it is handed on with a sign, and with its last bit set if its difference
// has to be taken from the caller's rows, clear if the packed coordinates do.
__device__ __forceinline__ float marked(float weight, bool exact) {
  if (!(weight > 0.0F)) return 0.0F;
  const unsigned bits = (__float_as_uint(weight) & ~1U) | (exact ? 1U : 0U);
  return __uint_as_float(bits | 0x80000000U);
}
__device__ __forceinline__ double marked(double weight, bool exact) {
  if (!(weight > 0.0)) return 0.0;
  const long long bits = (__double_as_longlong(weight) & ~1LL) | (exact ? 1LL : 0LL);
  return -__longlong_as_double(bits);
}
__device__ __forceinline__ bool marked_exact(float weight) {
  return (__float_as_uint(weight) & 1U) != 0;
}
__device__ __forceinline__ bool marked_exact(double weight) {
  return (__double_as_longlong(weight) & 1LL) != 0;
}

}  // namespace fastrfm::cuda
