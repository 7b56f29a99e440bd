// Moving finished tiles to the caller's array.
// Part of a level: included by tile/level_functions.hpp inside the level's namespace.

// dst[0 .. count) = src, count < lanes, by pieces of halving sizes: a masked store takes longer.
template <class T, int Size>
FASTRFM_INLINE void copy_pieces(T* dst, const T* src, std::int64_t count) {
  if constexpr (Size > 0) {
    const bool has_piece = (count & Size) != 0;
    if (has_piece) __builtin_memcpy(dst, src, Size * sizeof(T));
    const std::int64_t done = has_piece ? Size : 0;
    copy_pieces<T, Size / 2>(dst + done, src + done, count);
  }
}

template <class T>
void copy_out(T* dst, const T* src, std::int64_t count) {
  constexpr int width = Vec<T>::lanes;
  // Up to a vector's alignment, then whole vectors past the caches: the caller's array is written
  // once and not read soon, so loading its lines first would double the traffic.
  const auto misaligned = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(dst) /
                                                    sizeof(T) % static_cast<std::size_t>(width));
  std::int64_t i = std::min(misaligned == 0 ? 0 : width - misaligned, count);
  if (i > 0) copy_pieces<T, width / 2>(dst, src, i);
  for (; i + width <= count; i += width) stream(dst + i, load(src + i));
  if (i < count) copy_pieces<T, width / 2>(dst + i, src + i, count - i);
}

inline void copy_fence() { stream_fence(); }

// Eklundh's transposition: log2(width) rounds of exchanges between rows a power of two apart.
template <class T>
FASTRFM_INLINE void transpose_tile(const T* src, std::int64_t src_stride, T* dst,
                                   std::int64_t dst_stride) {
  constexpr int width = Vec<T>::lanes;
  using Native = typename Vec<T>::Native;
  using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Index Indices __attribute__((vector_size(sizeof(Native))));
  Native rows[width];
#pragma GCC unroll 16
  for (int r = 0; r < width; ++r) rows[r] = load(src + r * src_stride).v;
#pragma GCC unroll 4
  for (int step = 1; step < width; step *= 2) {
    Indices low;
    Indices high;
#pragma GCC unroll 16
    for (int lane = 0; lane < width; ++lane) {
      const bool upper = (lane & step) != 0;
      low[lane] = static_cast<Index>(upper ? width + lane - step : lane);
      high[lane] = static_cast<Index>(upper ? width + lane : lane + step);
    }
#pragma GCC unroll 16
    for (int r = 0; r < width; ++r) {
      if ((r & step) != 0) continue;
      const Native a = rows[r];
      const Native b = rows[r + step];
#if defined(__clang__)
      for (int lane = 0; lane < width; ++lane) {
        const bool upper = (lane & step) != 0;
        rows[r][lane] = upper ? b[lane - step] : a[lane];
        rows[r + step][lane] = upper ? b[lane] : a[lane + step];
      }
#else
      rows[r] = __builtin_shuffle(a, b, low);
      rows[r + step] = __builtin_shuffle(a, b, high);
#endif
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < width; ++r) store(dst + r * dst_stride, Vec<T>{rows[r]});
}

// A level may have its own transpose_tile for a type.
template <class T>
void transpose(const T* src, std::int64_t src_stride, T* dst, std::int64_t dst_stride) {
  transpose_tile(src, src_stride, dst, dst_stride);
}
