// How many bytes a second this machine writes into memory that is already there: streams of one
// constant, through the caches and, where the ISA can, past them (non-temporal); the better counts.
// Compiled by rates.py with the flags of one ISA level. Usage: write_rate THREADS BYTES
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

constexpr std::size_t kPage = 1 << 21;  // a huge page; of every vector's size a multiple
constexpr int kTrials = 5;

void write_cached(float* p, std::size_t count, float value) {
  std::fill(p, p + count, value);
  asm volatile("" : : "r"(p) : "memory");  // the values count as read: nothing is left out
}

#if defined(__AVX512F__)
#define FASTRFM_STREAMS 1
void write_past_caches(float* p, std::size_t count, float value) {
  for (std::size_t i = 0; i < count; i += 16) _mm512_stream_ps(p + i, _mm512_set1_ps(value));
  _mm_sfence();
}
#elif defined(__AVX__)
#define FASTRFM_STREAMS 1
void write_past_caches(float* p, std::size_t count, float value) {
  for (std::size_t i = 0; i < count; i += 8) _mm256_stream_ps(p + i, _mm256_set1_ps(value));
  _mm_sfence();
}
#elif defined(__x86_64__)
#define FASTRFM_STREAMS 1
void write_past_caches(float* p, std::size_t count, float value) {
  for (std::size_t i = 0; i < count; i += 4) _mm_stream_ps(p + i, _mm_set1_ps(value));
  _mm_sfence();
}
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::size_t threads = std::strtoul(argv[1], nullptr, 10);
  if (threads == 0) return 2;
  const std::size_t part = std::strtoul(argv[2], nullptr, 10) / threads / kPage * kPage + kPage;
  void* memory = std::aligned_alloc(kPage, part * threads);
  if (memory == nullptr) return 1;
#if defined(__linux__)
  madvise(memory, part * threads, MADV_HUGEPAGE);  // as NumPy does for large arrays
#endif
  std::memset(memory, 1, part * threads);  // the system hands the pages out now

  void (*kinds[])(float*, std::size_t, float) = {
      write_cached,
#if defined(FASTRFM_STREAMS)
      write_past_caches,
#endif
  };
  double best = 0;
  // Not from 0: lines of zeros can be cheaper (streamed on Zen 4, one core: 36 GB/s, ones 15).
  for (int trial = 1; trial <= kTrials; ++trial) {
    for (auto* kind : kinds) {
      std::vector<std::thread> pool;
      const auto start = std::chrono::steady_clock::now();
      for (std::size_t t = 0; t < threads; ++t) {
        float* p = reinterpret_cast<float*>(static_cast<char*>(memory) + t * part);
        pool.emplace_back(kind, p, part / sizeof(float), static_cast<float>(trial));
      }
      for (auto& thread : pool) thread.join();
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      best = std::max(best, static_cast<double>(part * threads) / seconds.count());
    }
  }
  std::free(memory);
  std::printf("%.6e\n", best);
}
