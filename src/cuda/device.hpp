// What every op needs of its caller beside its arguments: where to run, and memory to work in.
// No CUDA header is needed to read this one, so that the bindings are plain C++.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>

namespace fastrfm::cuda {

struct Device {
  // Work is queued on this stream (a cudaStream_t; null: the default one). Ops do not wait for it.
  void* stream = nullptr;
  // Device memory, aligned to 256 bytes, which must live until the stream has passed the op: the
  // caller's allocator (CuPy's pool) owns it, so that freed memory serves the caller's arrays too.
  // Throws if there is none.
  std::function<void*(std::size_t bytes)> allocate;

  template <class T>
  T* array(std::int64_t count) const {
    return static_cast<T*>(allocate(static_cast<std::size_t>(count > 0 ? count : 1) * sizeof(T)));
  }
};

// Device memory that an op takes once and uses for one chunk of rows after the other: what it
// allocates lives until it ends.
template <class T>
class Reusable {
 public:
  T* get(std::int64_t count, const Device& device) {
    if (count > count_) {
      at_ = device.array<T>(count);
      count_ = count;
    }
    return at_;
  }

 private:
  T* at_ = nullptr;
  std::int64_t count_ = 0;
};

// A CUDA call failed; what() names the op, the call and CUDA's own words.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

int device_count();     // 0 where there is no driver
int runtime_version();  // of the static runtime in this build: 13000 is 13.0
int driver_version();   // the newest that the driver takes; 0 where there is none

}  // namespace fastrfm::cuda
