// The emulator itself: what kernels may rely on, and what must be found out. Built and run by
// `make emulator`.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "cuda_runtime.h"

namespace {

int failures = 0;

void check(bool condition, const char* what) {
  if (condition) return;
  std::printf("FAILED: %s\n", what);
  ++failures;
}

template <class... Parameters, class... Arguments>
cudaError_t launch(dim3 grid, dim3 block, std::size_t shared_bytes, void (*kernel)(Parameters...),
                   Arguments... arguments) {
  cudaLaunchConfig_t config;
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

// Whether the launch ends the process with an abort, as deadlocks must.
template <class... Parameters, class... Arguments>
bool aborts(dim3 block, void (*kernel)(Parameters...), Arguments... arguments) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    // The message is wanted where it is not expected only.
    if (std::freopen("/dev/null", "w", stderr) == nullptr) std::_Exit(1);
    launch(1, block, 0, kernel, arguments...);
    std::_Exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

// ---- launches

__global__ void where(int* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * (blockDim.x * blockDim.y * blockDim.z) + thread] += static_cast<int>(thread) + 1;
}

__global__ void nothing() {}

void test_launch() {
  const dim3 grid(3, 2, 2);
  const dim3 block(5, 4, 3);
  std::vector<int> out(12 * 60, 0);
  check(launch(grid, block, 0, where, out.data()) == cudaSuccess, "a launch succeeds");
  bool once = true;
  for (std::size_t i = 0; i < out.size(); ++i)
    once = once && out[i] == static_cast<int>(i % 60) + 1;
  check(once, "every thread of every block runs once, with its own indices");
}

void test_refused_launches() {
  const auto refused = [](dim3 grid, dim3 block, std::size_t shared_bytes) {
    const bool returned =
        launch(grid, block, shared_bytes, nothing) == cudaErrorInvalidConfiguration;
    const bool peeked = cudaPeekAtLastError() == cudaErrorInvalidConfiguration;
    const bool kept = cudaGetLastError() == cudaErrorInvalidConfiguration;
    return returned && peeked && kept && cudaGetLastError() == cudaSuccess;
  };
  check(refused(0, 32, 0), "an empty grid is refused");
  check(refused(1, 0, 0), "an empty block is refused");
  check(refused(1, 1025, 0), "1,025 threads are refused");
  check(refused(1, dim3(32, 33), 0), "32 x 33 threads are refused");
  check(refused(dim3(1, 65536), 32, 0), "a grid 65,536 high is refused");
  check(refused(dim3(1, 1, 65536), 32, 0), "a grid 65,536 deep is refused");
  check(refused(1, 32, 49153), "more than 48 KiB are refused unless asked for");
  const auto most = cudaFuncAttributeMaxDynamicSharedMemorySize;
  check(cudaFuncSetAttribute(nothing, most, 50000) == cudaSuccess, "50,000 bytes may be asked for");
  check(launch(1, 32, 50000, nothing) == cudaSuccess, "and then be had");
  check(refused(1, 32, 50001), "but not more");
  check(cudaFuncSetAttribute(nothing, most, (227 << 10) + 1) == cudaErrorInvalidValue,
        "more than 227 KiB may not be asked for");
  check(cudaGetLastError() == cudaErrorInvalidValue, "which is the last error");
}

// ---- barriers

__global__ void reverse_by_barrier(int* out) {
  __shared__ int numbers[96];
  const int me = static_cast<int>(threadIdx.x);
  numbers[me] = me;
  __syncthreads();
  out[me] = numbers[95 - me];
  const int even = __syncthreads_count(me % 2 == 0);
  const int any = __syncthreads_or(me == 17);
  const int all = __syncthreads_and(me != 17);
  if (even != 48 || any != 1 || all != 0) out[me] = -1;
}

__global__ void barrier_after_some_end(int* out) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void divergent_barrier() {
  if (threadIdx.x < 16)
    __syncthreads();
  else
    __syncwarp();
}

void test_barriers() {
  std::vector<int> out(96, 0);
  launch(1, 96, 0, reverse_by_barrier, out.data());
  bool reversed = true;
  for (int i = 0; i < 96; ++i) reversed = reversed && out[static_cast<std::size_t>(i)] == 95 - i;
  check(reversed, "a barrier orders stores and loads, and counts predicates");
  std::vector<int> some(64, 0);
  launch(1, 64, 0, barrier_after_some_end, some.data());
  check(some[39] == 1 && some[40] == 0, "a barrier does not wait for threads that have ended");
}

// ---- warp operations

__global__ void shuffles(int* wrong) {
  const int me = static_cast<int>(threadIdx.x) % 32;
  const unsigned all = 0xffffffffU;
  int bad = 0;
  bad += __shfl_sync(all, me, 5) != 5;
  bad += __shfl_sync(all, me, 3, 8) != me / 8 * 8 + 3;
  bad += __shfl_xor_sync(all, me, 16) != (me ^ 16);
  bad += __shfl_down_sync(all, me, 4U) != (me + 4 < 32 ? me + 4 : me);
  bad += __shfl_down_sync(all, me, 2U, 4) != (me % 4 < 2 ? me + 2 : me);
  bad += __shfl_up_sync(all, me, 1U) != (me > 0 ? me - 1 : me);
  bad += __ballot_sync(all, me % 3 == 0) != 0x49249249U;
  bad += __any_sync(all, me == 31) != 1;
  bad += __all_sync(all, me != 31) != 0;
  double sum = me;
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(all, sum, step);
  bad += sum != 496.0;
  // The halves go different ways and different numbers of times.
  const unsigned half = me < 16 ? 0x0000ffffU : 0xffff0000U;
  int value = me;
  for (int round = 0; round <= me / 16; ++round) value = __shfl_xor_sync(half, value, 1);
  bad += value != (me < 16 ? me ^ 1 : me);
  __syncwarp();
  atomicAdd(wrong, bad);
}

__global__ void shuffle_from_absent_lane(float* out) {
  if (threadIdx.x >= 16) return;
  out[threadIdx.x] = __shfl_sync(0xffffffffU, 1.0F, static_cast<int>(threadIdx.x) + 8);
}

__global__ void different_masks() { __syncwarp(threadIdx.x == 0 ? 0x3U : 0xffffffffU); }

__global__ void foreign_mask() { __syncwarp(0x2U); }

void test_warps() {
  int wrong = 0;
  launch(2, 128, 0, shuffles, &wrong);
  check(wrong == 0, "shuffles and votes");
  std::vector<float> out(16, 0.0F);
  launch(1, 32, 0, shuffle_from_absent_lane, out.data());
  check(out[7] == 1.0F && std::isnan(out[8]), "a lane that has ended gives NaN");
  check(aborts(64, divergent_barrier), "a barrier against a shuffle is a deadlock");
  check(aborts(32, different_masks), "different masks are found");
  check(aborts(32, foreign_mask), "a mask without the caller is found");
}

// ---- shared memory, atomics, asynchronous copies

__global__ void read_dynamic(float* out) {
  const auto* memory = static_cast<float*>(emulator::dynamic_shared());
  out[threadIdx.x] = memory[threadIdx.x];
}

__global__ void count(int* sum, float* halves, unsigned* bits, int* largest) {
  atomicAdd(sum, 1);
  atomicAdd(halves, 0.5F);
  atomicOr(bits, 1U << threadIdx.x % 32);
  atomicMax(largest, static_cast<int>(blockIdx.x));
}

// Two groups of copies, read before anything is waited for, after the first, and after both.
__global__ void copy(const float* from, float* out) {
  auto* shared = static_cast<float*>(emulator::dynamic_shared());
  const unsigned me = threadIdx.x;
  shared[me] = shared[me + 32] = 0.0F;
  emulator::copy_async(shared + me, from + me, 4);
  emulator::commit_copies();
  emulator::copy_async(shared + me + 32, from + me + 32, 4);
  emulator::commit_copies();
  out[me] = shared[me] + shared[me + 32];
  emulator::wait_copies(1);
  out[me + 32] = shared[me] + shared[me + 32];
  emulator::wait_copies(0);
  out[me + 64] = shared[me] + shared[me + 32];
}

__global__ void misaligned_copy(const float* from) {
  emulator::copy_async(emulator::dynamic_shared(), from + 1, 8);
}

void test_memory() {
  std::vector<float> out(96, 0.0F);
  launch(1, 32, 128, read_dynamic, out.data());
  check(std::isnan(out[0]) && std::isnan(out[31]), "dynamic shared memory starts as NaN");

  int sum = 0;
  int largest = 0;
  float halves = 0.0F;
  unsigned bits = 0;
  launch(64, 64, 0, count, &sum, &halves, &bits, &largest);
  check(sum == 4096 && halves == 2048.0F && bits == ~0U && largest == 63, "atomics");

  std::vector<float> from(64);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = i < 32 ? 1.0F : 2.0F;
  launch(1, 32, 256, copy, from.data(), out.data());
  const bool early = emulator::copies_are_early();
  check(out[0] == (early ? 3.0F : 0.0F), "a copy is as late, or as early, as it may be");
  check(out[32] == (early ? 3.0F : 1.0F), "waiting for a group leaves the newer one open");
  check(out[64] == 3.0F, "waiting for all leaves none");
  check(aborts(1, misaligned_copy, from.data()), "a misaligned copy is found");
}

// ---- bits

void test_bits() {
  check(__brev(1U) == 0x80000000U && __brev(0x0000ffffU) == 0xffff0000U, "__brev");
  check(__popc(0xf0f0U) == 8 && __clz(0) == 32 && __clz(1) == 31 && __ffs(8) == 4, "bit counts");
  check(__umulhi(0x80000000U, 6U) == 3U, "__umulhi");
  check(__longlong_as_double(__double_as_longlong(-0.1)) == -0.1, "double bits");
  check(__uint_as_float(0x3f800000U) == 1.0F && __float_as_int(1.0F) == 0x3f800000, "float bits");
}

// ---- the tensor cores' product

__global__ void multiply(const float* a, const float* b, float* d) {
  const unsigned group = threadIdx.x / 4;
  const unsigned member = threadIdx.x % 4;
  const float rows[4] = {a[group * 8 + member], a[(group + 8) * 8 + member],
                         a[group * 8 + member + 4], a[(group + 8) * 8 + member + 4]};
  const float columns[2] = {b[member * 8 + group], b[(member + 4) * 8 + group]};
  float sums[4];
  for (unsigned i = 0; i < 4; ++i) sums[i] = d[(group + i / 2 * 8) * 8 + 2 * member + i % 2];
  emulator::mma_m16n8k8(sums, rows, columns);
  for (unsigned i = 0; i < 4; ++i) d[(group + i / 2 * 8) * 8 + 2 * member + i % 2] = sums[i];
}

void test_mma() {
  std::mt19937 generator(0);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  std::vector<float> a(16 * 8);
  std::vector<float> b(8 * 8);
  std::vector<float> d(16 * 8);
  for (auto* matrix : {&a, &b, &d})
    for (float& x : *matrix) x = uniform(generator);
  const std::vector<float> c = d;
  launch(1, 32, 0, multiply, a.data(), b.data(), d.data());
  double worst = 0.0;
  double worst_in_float = 0.0;  // with operands as they were: TF32 must show
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t j = 0; j < 8; ++j) {
      double sum = static_cast<double>(c[i * 8 + j]);
      double sum_in_float = sum;
      for (std::size_t k = 0; k < 8; ++k) {
        sum += static_cast<double>(emulator::as_tf32(a[i * 8 + k])) *
               static_cast<double>(emulator::as_tf32(b[k * 8 + j]));
        sum_in_float += static_cast<double>(a[i * 8 + k]) * static_cast<double>(b[k * 8 + j]);
      }
      worst = std::fmax(worst, std::fabs(sum - static_cast<double>(d[i * 8 + j])));
      worst_in_float =
          std::fmax(worst_in_float, std::fabs(sum_in_float - static_cast<double>(d[i * 8 + j])));
    }
  check(worst < 1e-6, "D = A B + C in PTX's layout");
  check(worst_in_float > 1e-4, "operands lose what TF32 has no bits for");
  check(emulator::as_tf32(1.0F + 0x1p-11F) == 1.0F, "TF32 cuts off after ten bits");
  check(emulator::as_tf32(1.0F + 0x1p-10F) == 1.0F + 0x1p-10F, "TF32 keeps ten bits");
}

}  // namespace

int main() {
  test_launch();
  test_refused_launches();
  test_barriers();
  test_warps();
  test_memory();
  test_bits();
  test_mma();
  if (failures == 0) std::printf("emulator: all as it should be\n");
  return failures == 0 ? 0 : 1;
}
