// How many lane operations a second this machine does in the inner loop of a p = 1 distance:
// acc[r] += |a[r] - b|, that is, a subtraction, an and, an addition, all in registers.
// Compiled by rates.py with the flags of one ISA level. Usage: vector_rate THREADS
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64, kRows = 12;
#elif defined(__AVX2__)
constexpr int kBytes = 32, kRows = 6;
#else
constexpr int kBytes = 16, kRows = 6;
#endif
constexpr int kLanes = kBytes / 4, kDepth = 128, kRepeats = 100000;
typedef float Floats __attribute__((vector_size(kBytes)));
typedef std::int32_t Ints __attribute__((vector_size(kBytes)));

void work(float* result) {
  alignas(64) static thread_local float b[kDepth * kLanes];
  for (int i = 0; i < kDepth * kLanes; ++i) b[i] = static_cast<float>(i % 7);
  const Ints sign_off = Ints{} + 0x7fffffff;
  Floats a[kRows], acc[kRows];
  for (int r = 0; r < kRows; ++r) {
    a[r] = Floats{} + static_cast<float>(r);
    acc[r] = Floats{};
  }
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    for (int k = 0; k < kDepth; ++k) {
      Floats lane;
      std::memcpy(&lane, b + k * kLanes, sizeof lane);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) acc[r] += (Floats)((Ints)(a[r] - lane) & sign_off);
    }
    asm volatile("" ::: "memory");
  }
  float sum = 0;
  for (int r = 0; r < kRows; ++r)
    for (int i = 0; i < kLanes; ++i) sum += acc[r][i];
  *result = sum;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  double best = 0;
  for (int trial = 0; trial < 5; ++trial) {
    std::vector<float> results(static_cast<std::size_t>(threads));
    std::vector<std::thread> pool;
    const auto start = std::chrono::steady_clock::now();
    for (auto& result : results) pool.emplace_back(work, &result);
    for (auto& thread : pool) thread.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double operations = 3.0 * kRows * kLanes * kDepth * kRepeats * threads;
    best = operations / seconds.count() > best ? operations / seconds.count() : best;
    if (results[0] < 0) return 1;
  }
  std::printf("%.6e\n", best);
}
