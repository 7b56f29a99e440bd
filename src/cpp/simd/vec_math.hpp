// exp2, log2 and powers for the vector types, written once over their basic operations.
// Included by each vec_*.hpp inside its level's namespace; no include guard on purpose.

// Coefficients of (2^f - 1) / f on [-1/2, 1/2], near-minimax (Chebyshev), so that 2^0 is exactly 1.
// Relative error of 2^f: 8e-9 (float), 2e-19 (double) before rounding.
template <class T>
struct Exp2Polynomial;
template <>
struct Exp2Polynomial<float> {
  static constexpr int degree = 6;
  static constexpr float c[degree] = {0.6931472F,   0.2402265F,    0.05550357F,
                                      0.009618083F, 0.0013390863F, 0.00015453163F};
  static constexpr float lowest_exponent = -126.0F;
};
template <>
struct Exp2Polynomial<double> {
  static constexpr int degree = 12;
  static constexpr double c[degree] = {
      0.6931471805599453,     0.24022650695910072,    0.055504108664821625,
      0.00961812910762848,    0.001333355814640647,   0.00015403530393370734,
      1.5252733841556773e-05, 1.3215486808705563e-06, 1.0178057087733941e-07,
      7.0548973041554995e-09, 4.4558179083360645e-10, 2.5729324177362305e-11};
  static constexpr double lowest_exponent = -1022.0;
};

// 2^(n + f), n integral and within the exponent range, |f| <= 1/2 or slightly more.
template <class T>
FASTRFM_INLINE Vec<T> exp2_parts(Vec<T> n, Vec<T> f) {
  using P = Exp2Polynomial<T>;
  Vec<T> p = broadcast<T>(P::c[P::degree - 1]);
#pragma GCC unroll 16
  for (int i = P::degree - 2; i >= 0; --i) p = fma(p, f, broadcast<T>(P::c[i]));
  return scale_by_power_of_two(fma(p, f, broadcast<T>(T(1))), n);
}

// 2^-t for t >= 0; zero where that is below the smallest normal number, so that no denormal slows
// what follows. A NaN counts as infinity (it comes from inf - inf in a distance of overflowing
// coordinates).
template <class T>
FASTRFM_INLINE Vec<T> exp2_negative(Vec<T> exponent) {
  const Vec<T> limit = broadcast<T>(-Exp2Polynomial<T>::lowest_exponent);
  const Vec<T> t = min(exponent, limit);
  const Vec<T> n = nearest(t);
  return select(t < limit, exp2_parts<T>(-n, n - t), broadcast<T>(T(0)));
}

// The root of x and its inverse, for x neither zero, nor infinite, nor NaN.
template <class T>
FASTRFM_INLINE void positive_roots(Vec<T> x, Vec<T>& root, Vec<T>& inverse) {
  inverse = inverse_square_root(x);
  root = square_root(x);
}

// log2 of a mantissa m in [0.7, 1.5]: 2/ln 2 (z + z^3/3 + ...), z = (m-1)/(m+1), |z| <= 0.2.
template <class T>
FASTRFM_INLINE Vec<T> log2_mantissa(Vec<T> m) {
  constexpr int terms = sizeof(T) == 4 ? 5 : 11;
  constexpr double two_over_ln2 = 2.8853900817779268;
  const Vec<T> one = broadcast<T>(T(1));
  const Vec<T> z = (m - one) / (m + one);
  const Vec<T> z2 = z * z;
  Vec<T> p = broadcast<T>(static_cast<T>(two_over_ln2 / (2 * terms - 1)));
#pragma GCC unroll 16
  for (int i = terms - 2; i >= 0; --i)
    p = fma(p, z2, broadcast<T>(static_cast<T>(two_over_ln2 / (2 * i + 1))));
  return p * z;
}

// x^a for x >= 0, 0 for x = 0 (and denormal x), whatever the sign of a. The integral and the
// fractional part of a log2(x) are kept apart, so that a large exponent costs no accuracy.
template <class T>
FASTRFM_INLINE Vec<T> positive_power(Vec<T> x, Vec<T> a) {
  using Limits = std::numeric_limits<T>;
  Vec<T> mantissa;
  Vec<T> exponent;
  split_exponent(x, mantissa, exponent);
  const Vec<T> fraction = log2_mantissa<T>(mantissa);
  Vec<T> high;
  Vec<T> low;
  exact_product(a, exponent, high, low);
  const Vec<T> limit = broadcast<T>(static_cast<T>(Limits::max_exponent - 2));
  const Vec<T> n = max(min(nearest(fma(a, fraction, high)), limit), -limit);
  const Vec<T> f = fma(a, fraction, (high - n) + low);
  // Outside the exponent range f is far from [-1/2, 1/2]; hold it so that the result saturates.
  const Vec<T> bound = broadcast<T>(T(1));
  const Vec<T> result = exp2_parts<T>(n, max(min(f, bound), -bound));
  return select(x >= broadcast<T>((Limits::min)()), result, broadcast<T>(T(0)));
}

// value where x > limit, else 0 (also where x is NaN).
template <class T>
FASTRFM_INLINE Vec<T> zero_unless_above(Vec<T> x, Vec<T> limit, Vec<T> value) {
  return select(x > limit, value, broadcast<T>(T(0)));
}

// a + b or a - b where the mask is set, a elsewhere.
template <class T, class Mask>
FASTRFM_INLINE Vec<T> add_where(Mask mask, Vec<T> a, Vec<T> b) {
  return a + select(mask, b, broadcast<T>(T(0)));
}
template <class T, class Mask>
FASTRFM_INLINE Vec<T> subtract_where(Mask mask, Vec<T> a, Vec<T> b) {
  return a - select(mask, b, broadcast<T>(T(0)));
}

// sign(x) * magnitude, 0 for x = 0.
template <class T>
FASTRFM_INLINE Vec<T> with_sign_of(Vec<T> magnitude, Vec<T> x) {
  const Vec<T> zero = broadcast<T>(T(0));
  return subtract_where(x < zero, select(x > zero, magnitude, zero), magnitude);
}
