// FASTRFM_INLINE: for the small functions that every backend compiles, g++ and nvcc.
#pragma once

#if defined(__CUDACC__)
#define FASTRFM_INLINE __host__ __device__ __forceinline__
#else
// Forced: these are compiled for several instruction sets, and a function left out of line would be
// merged by the linker across them.
#define FASTRFM_INLINE inline __attribute__((always_inline))
#endif
