// Micro-kernels: sums over points of a tile's weights times something.
// Part of a level: included by tile/level_functions.hpp inside the level's namespace.

template <class T, int Rows>
void accumulate(const T* a, std::int64_t a_stride, const T* b, std::int64_t depth, T* c,
                std::int64_t c_stride) {
  constexpr int width = Vec<T>::lanes;
  Vec<T> acc[Rows][kTileVectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) acc[r][v] = broadcast<T>(T(0));
  for (std::int64_t j = 0; j < depth; ++j) {
    Vec<T> x[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) x[v] = load(b + v * width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vec<T> factor = broadcast<T>(a[r]);
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) acc[r][v] = fma(factor, x[v], acc[r][v]);
    }
    a += a_stride;
    b += kLanes<T>;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) {
      T* p = c + r * c_stride + v * width;
      store(p, load(p) + acc[r][v]);
    }
}

template <class T>
void scale_rows(const T* weights, const T* factors, std::int64_t factor_stride, std::int64_t rows,
                T* out) {
  constexpr int width = Vec<T>::lanes;
  for (std::int64_t j = 0; j < rows; ++j) {
    const Vec<T> factor = broadcast<T>(factors[j * factor_stride]);
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v)
      store(out + j * kLanes<T> + v * width, factor * load(weights + j * kLanes<T> + v * width));
  }
}

// One block of Coordinates x Outputs accumulators: phi is computed once for all the outputs.
template <Norm N, class T, int Coordinates, int Outputs>
FASTRFM_INLINE void difference_block(const typename Level<T>::DifferenceArgs& args,
                                     const Law<T>& law, int k0, int l0) {
  constexpr int width = Vec<T>::lanes;
  const Vec<T> p = broadcast<T>(law.norm_power);
  const Vec<T> one = broadcast<T>(T(1));
  for (int v = 0; v < kTileVectors; ++v) {
    Vec<T> acc[Coordinates][Outputs];
    Vec<T> x[Coordinates];
#pragma GCC unroll 16
    for (int k = 0; k < Coordinates; ++k) {
      x[k] = load(args.x + (k0 + k) * kLanes<T> + v * width);
#pragma GCC unroll 4
      for (int l = 0; l < Outputs; ++l) acc[k][l] = broadcast<T>(T(0));
    }
    const T* z = args.z + k0;
    const T* weights = args.weights + l0 * args.weight_stride + v * width;
    for (std::int64_t j = 0; j < args.depth; ++j) {
      Vec<T> w[Outputs];
#pragma GCC unroll 4
      for (int l = 0; l < Outputs; ++l) w[l] = load(weights + l * args.weight_stride);
#pragma GCC unroll 16
      for (int k = 0; k < Coordinates; ++k) {
        if constexpr (N == Norm::one && Outputs == 1) {
          // sign(x - z) w without the sign: equal coordinates must add nothing, so two comparisons.
          const Vec<T> other = broadcast<T>(z[k]);
          acc[k][0] = add_where(x[k] > other, acc[k][0], w[0]);
          acc[k][0] = subtract_where(x[k] < other, acc[k][0], w[0]);
          continue;
        }
        const Vec<T> phi = coordinate_gradient<N>(x[k] - broadcast<T>(z[k]), p, one);
#pragma GCC unroll 4
        for (int l = 0; l < Outputs; ++l) acc[k][l] = fma(phi, w[l], acc[k][l]);
      }
      z += args.z_stride;
      weights += kLanes<T>;
    }
#pragma GCC unroll 16
    for (int k = 0; k < Coordinates; ++k)
#pragma GCC unroll 4
      for (int l = 0; l < Outputs; ++l) {
        T* c = args.c + (l0 + l) * args.c_output_stride + (k0 + k) * kLanes<T> + v * width;
        store(c, load(c) + acc[k][l]);
      }
  }
}

template <Norm N, class T, int Coordinates, int Outputs>
FASTRFM_INLINE void difference_coordinates(const typename Level<T>::DifferenceArgs& args,
                                           const Law<T>& law, int l0) {
  int k = 0;
  for (; k + Coordinates <= args.coordinates; k += Coordinates)
    difference_block<N, T, Coordinates, Outputs>(args, law, k, l0);
  for (; k < args.coordinates; ++k) difference_block<N, T, 1, Outputs>(args, law, k, l0);
}

template <Norm N, class T>
void differences(const typename Level<T>::DifferenceArgs& args, const Law<T>& law) {
  int l = 0;
  for (; l + 4 <= args.outputs; l += 4)
    difference_coordinates<N, T, (kTileRows + 2) / 4, 4>(args, law, l);
  // One pass for the rest: another pass would find every phi again.
  switch (args.outputs - l) {
    case 3:
      difference_coordinates<N, T, (kTileRows + 2) / 4, 3>(args, law, l);
      break;
    case 2:
      difference_coordinates<N, T, kTileRows / 3, 2>(args, law, l);
      break;
    case 1:
      difference_coordinates<N, T, (kTileRows + 1) / 2, 1>(args, law, l);
      break;
    default:
      break;
  }
}

template <class T>
void near_gradient(const typename Level<T>::NearArgs& args) {
  constexpr int width = Vec<T>::lanes;
  for (int v = 0; v < kTileVectors; ++v) {
    const Vec<T> w = broadcast<T>(args.factor) * load(args.weights + v * width);
    for (std::int64_t k = 0; k < args.depth; ++k) {
      const std::int64_t at = k * kLanes<T> + v * width;
      Vec<T> u = load(args.x + at) - broadcast<T>(args.z[k * args.z_stride]);
      if (args.x_rest != nullptr)
        u = u + (load(args.x_rest + at) - broadcast<T>(args.z_rest[k * args.z_stride]));
      store(args.c + at, load(args.c + at) - w * u);
    }
  }
}

template <class T, int Count>
void symmetric_rows(const T* const* rows, std::int64_t length, const T* v_of_columns,
                    const T* v_of_rows, T* sums_of_columns, T* sums_of_rows) {
  constexpr int width = Vec<T>::lanes;
  Vec<T> acc[Count];
  Vec<T> factor[Count];
#pragma GCC unroll 8
  for (int i = 0; i < Count; ++i) {
    acc[i] = broadcast<T>(T(0));
    factor[i] = broadcast<T>(v_of_rows[i]);
  }
  std::int64_t j = 0;
  for (; j + width <= length; j += width) {
    const Vec<T> v = load(v_of_columns + j);
    Vec<T> sum = load(sums_of_columns + j);
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i) {
      const Vec<T> a = load(rows[i] + j);
      acc[i] = fma(a, v, acc[i]);
      sum = fma(a, factor[i], sum);
    }
    store(sums_of_columns + j, sum);
  }
#pragma GCC unroll 8
  for (int i = 0; i < Count; ++i) {
    alignas(64) T lanes[width];
    store(lanes, acc[i]);
    for (int half = width / 2; half > 0; half /= 2)
      for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    T total = lanes[0];
    for (std::int64_t t = j; t < length; ++t) {
      total += rows[i][t] * v_of_columns[t];
      sums_of_columns[t] += rows[i][t] * v_of_rows[i];
    }
    sums_of_rows[i] += total;
  }
}
