// Micro-kernels: one register tile of kernel values or gradient weights.
// Part of a level: included by tile/level_functions.hpp inside the level's namespace.

// acc[r][v] = sum_k rows[k][r] * lanes[k][v]
template <class T>
FASTRFM_INLINE void dot_products(const T* rows, const T* lanes, std::int64_t depth,
                                 Vec<T> (&acc)[kTileRows][kTileVectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) acc[r][v] = broadcast<T>(T(0));
  for (std::int64_t k = 0; k < depth; ++k) {
    Vec<T> b[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) b[v] = load(lanes + v * Vec<T>::lanes);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const Vec<T> a = broadcast<T>(rows[r]);
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) acc[r][v] = fma(a, b[v], acc[r][v]);
    }
    rows += kTileRows;
    lanes += kLanes<T>;
  }
}

// acc[r][v] = sum_k weights[k] |rows[k][r] - lanes[k][v]|^p
template <Norm N, class T>
FASTRFM_INLINE void difference_sums(const T* rows, const T* lanes, const T* weights,
                                    std::int64_t depth, Vec<T> p,
                                    Vec<T> (&acc)[kTileRows][kTileVectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) acc[r][v] = broadcast<T>(T(0));
  for (std::int64_t k = 0; k < depth; ++k) {
    Vec<T> b[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) b[v] = load(lanes + v * Vec<T>::lanes);
    const Vec<T> weight = broadcast<T>(weights[k]);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const Vec<T> a = broadcast<T>(rows[r]);
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v)
        acc[r][v] = fma(weight, coordinate_distance<N>(a - b[v], p), acc[r][v]);
    }
    rows += kTileRows;
    lanes += kLanes<T>;
  }
}

// K or omega from S.
template <Radial R, bool Weights, bool Positive, class T>
FASTRFM_INLINE Vec<T> finish(Vec<T> s, const Law<T>& law) {
  const Vec<T> power = broadcast<T>(law.radial_power);
  const Vec<T> decay = broadcast<T>(law.decay);
  if constexpr (Weights) {
    return gradient_weight<R, Positive>(s, power, decay, broadcast<T>(law.cusp));
  } else {
    return kernel_value<R, Positive>(s, power, decay);
  }
}

// The rare tile in which some pair is near: S is repaired pair by pair before it is used.
template <Norm N, Radial R, bool Weights, class T>
__attribute__((noinline, cold)) void finish_repaired(const TileArgs<T>& args, const Law<T>& law,
                                                     const T* s_tile) {
  constexpr int width = Vec<T>::lanes;
  for (int r = 0; r < kTileRows; ++r) {
    const Vec<T> row_size = broadcast<T>(args.row_sizes[r]);
    bool row_near = false;
    for (int v = 0; v < kTileVectors; ++v) {
      Vec<T> s = load(s_tile + r * kLanes<T> + v * width);
      const Vec<T> sizes = row_size + load(args.lane_sizes + v * width);
      unsigned near = 0;
      if constexpr (N == Norm::two) {
        const auto far = s > broadcast<T>(law.near(args.largest_size)) * sizes;
        near = ~bits(far) & ((1U << width) - 1U);
        if (near != 0) {
          Vec<T> sum = broadcast<T>(T(0));
          for (std::int64_t k = 0; k < args.depth; ++k) {
            const Vec<T> u = broadcast<T>(args.rows[k * kTileRows + r]) -
                             load(args.lanes + k * kLanes<T> + v * width);
            sum = fma(u, u, sum);
          }
          s = select(far, s, sum);
        }
      }
      unsigned touching = ~bits(s > broadcast<T>(law.touching_within(args.largest_size)) * sizes) &
                          ((1U << width) - 1U);
      T* out = args.out + r * args.stride + v * width;
      if (near == 0 && touching == 0) {
        store(out, finish<R, Weights, false>(s, law));
        if constexpr (Weights && N == Norm::two)
          store(args.near_out + r * args.stride + v * width, broadcast<T>(T(0)));
        continue;
      }
      alignas(64) T lane_s[width];
      store(lane_s, s);
      if (touching != 0 && args.rows_rest != nullptr) {
        Vec<T> sum = broadcast<T>(T(0));
        for (std::int64_t k = 0; k < args.depth; ++k) {
          const std::int64_t row = k * kTileRows + r;
          const std::int64_t lane = k * kLanes<T> + v * width;
          const Vec<T> u = (broadcast<T>(args.rows[row]) - load(args.lanes + lane)) +
                           (broadcast<T>(args.rows_rest[row]) - load(args.lanes_rest + lane));
          sum = sum + coordinate_distance<N>(u, broadcast<T>(law.norm_power));
        }
        alignas(64) T exact[width];
        store(exact, sum);
        for (int lane = 0; lane < width; ++lane)
          if (((touching >> lane) & 1U) != 0) lane_s[lane] = exact[lane];
        touching &= ~bits(sum > broadcast<T>(law.coincident) * sizes);
      }
      for (int lane = 0; lane < width; ++lane)
        if (((touching >> lane) & 1U) != 0)
          lane_s[lane] = args.touch(args.context, r, v * width + lane);
      alignas(64) T values[width];
      store(values, finish<R, Weights, false>(load(lane_s), law));
      if constexpr (Weights && N == Norm::two) {
        T* near_out = args.near_out + r * args.stride + v * width;
        for (int lane = 0; lane < width; ++lane) {
          const bool is_near = ((near >> lane) & 1U) != 0;
          out[lane] = is_near ? T(0) : values[lane];
          near_out[lane] = is_near ? values[lane] : T(0);
        }
        row_near = row_near || near != 0;
      } else {
        for (int lane = 0; lane < width; ++lane) out[lane] = values[lane];
      }
    }
    if constexpr (Weights && N == Norm::two) args.near_rows[r] = row_near ? 1 : 0;
  }
}

template <Norm N, Radial R, bool Weights, class T>
void tile(const TileArgs<T>& args, const Law<T>& law) {
  constexpr int width = Vec<T>::lanes;
  Vec<T> acc[kTileRows][kTileVectors];
  if constexpr (N == Norm::two) {
    dot_products<T>(args.rows, args.lanes, args.depth, acc);
  } else {
    difference_sums<N, T>(args.rows, args.lanes, args.coordinate_weights, args.depth,
                          broadcast<T>(law.norm_power), acc);
  }
  // S in place of the products.
  if constexpr (N == Norm::two) {
    Vec<T> lane_sizes[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) lane_sizes[v] = load(args.lane_sizes + v * width);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const Vec<T> row_size = broadcast<T>(args.row_sizes[r]);
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v)
        acc[r][v] = fma(broadcast<T>(T(-2)), acc[r][v], row_size + lane_sizes[v]);
    }
  }
  // Can every pair be trusted? Nearly always the smallest S answers for all, held against the largest
  // size; where sizes differ much each pair is held against its own.
  const T trust =
      N == Norm::two ? law.near(args.largest_size) : law.touching_within(args.largest_size);
  const T enough = trust * args.largest_size;
  Vec<T> least = acc[0][0];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) least = min(least, acc[r][v]);
  const auto above = least > broadcast<T>(Weights && enough < law.cusp ? law.cusp : enough);
  // A size that is not finite makes no S a NaN unseen: the comparison with it fails.
  if (__builtin_expect(bits(above) == (1U << width) - 1U && enough < std::numeric_limits<T>::max(),
                       1)) {
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v)
        store(args.out + r * args.stride + v * width, finish<R, Weights, true>(acc[r][v], law));
    return;
  }
  alignas(64) T s_tile[kTileRows * kLanes<T>];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) store(s_tile + r * kLanes<T> + v * width, acc[r][v]);
  finish_repaired<N, R, Weights, T>(args, law, s_tile);
}
