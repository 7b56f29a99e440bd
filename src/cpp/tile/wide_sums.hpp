// Sums in double over rows in the level's working type.
// Part of a level: included by tile/level_functions.hpp inside the level's namespace.

// sums[i] = sum_k rows[i * stride + k] v[k], i < Count
template <class T, int Count>
FASTRFM_INLINE void row_dots_of(const T* rows, std::int64_t stride, std::int64_t length,
                                const double* v, double* sums) {
  constexpr int width = Vec<double>::lanes;
  Vec<double> acc[Count];
#pragma GCC unroll 4
  for (int i = 0; i < Count; ++i) acc[i] = broadcast<double>(0.0);
  std::int64_t k = 0;
  for (; k + width <= length; k += width) {
    const Vec<double> x = load(v + k);
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) acc[i] = fma(load_wide(rows + i * stride + k), x, acc[i]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < Count; ++i) {
    alignas(64) double lanes[width];
    store(lanes, acc[i]);
    for (int half = width / 2; half > 0; half /= 2)
      for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    double total = lanes[0];
    for (std::int64_t t = k; t < length; ++t)
      total += static_cast<double>(rows[i * stride + t]) * v[t];
    sums[i] = total;
  }
}

template <class T>
void row_dots(const T* rows, std::int64_t stride, int count, std::int64_t length, const double* v,
              double* sums) {
  int i = 0;
  for (; i + 4 <= count; i += 4) row_dots_of<T, 4>(rows + i * stride, stride, length, v, sums + i);
  for (; i < count; ++i) row_dots_of<T, 1>(rows + i * stride, stride, length, v, sums + i);
}

// sums[k] += sum_i factors[i] rows[i * stride + k], i < Count
template <class T, int Count>
FASTRFM_INLINE void add_rows_of(const T* rows, std::int64_t stride, std::int64_t length,
                                const double* factors, double* sums) {
  constexpr int width = Vec<double>::lanes;
  Vec<double> factor[Count];
#pragma GCC unroll 4
  for (int i = 0; i < Count; ++i) factor[i] = broadcast<double>(factors[i]);
  std::int64_t k = 0;
  for (; k + width <= length; k += width) {
    Vec<double> sum = load(sums + k);
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) sum = fma(load_wide(rows + i * stride + k), factor[i], sum);
    store(sums + k, sum);
  }
  for (; k < length; ++k)
    for (int i = 0; i < Count; ++i)
      sums[k] += static_cast<double>(rows[i * stride + k]) * factors[i];
}

template <class T>
void add_rows(const T* rows, std::int64_t stride, int count, std::int64_t length,
              const double* factors, double* sums) {
  int i = 0;
  for (; i + 4 <= count; i += 4)
    add_rows_of<T, 4>(rows + i * stride, stride, length, factors + i, sums);
  for (; i < count; ++i) add_rows_of<T, 1>(rows + i * stride, stride, length, factors + i, sums);
}
