// Stands in for CUDA's header of this name: the kernels of src/cuda, compiled as C++ against it, run
// on the CPU. For tests only.
//
// Every CUDA thread is a fiber with a stack of its own, every block runs on one thread of the system,
// and barriers, shuffles and votes wait for all who must take part (block.hpp). What is not here:
// textures, streams that run beside one another, occupancy, and the order in which a GPU would run
// threads; FASTRFM_EMULATOR_ORDER chooses among orders (launch.hpp).
#pragma once

// Some standard headers say __attribute__((__noinline__)): they have to be read before it is a macro.
#include <functional>
#include <memory>
#include <string>

#define CUDA_EMU 1

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) alignas(bytes)
// One copy for each thread of the system, which is one for each block: a thread runs one block at a
// time. For dynamic shared memory, whose size only the launch knows, emulator::dynamic_shared().
#define __shared__ static thread_local

#include "atomics.hpp"
#include "copies.hpp"
#include "intrinsics.hpp"
#include "launch.hpp"
#include "mma.hpp"
#include "runtime_api.hpp"
#include "vector_types.hpp"
