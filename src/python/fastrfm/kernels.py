"""`kernel_matrix` and `kernel_matmul`: validate, find the root of the metric, dispatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastrfm import backend
from fastrfm.metric import root_of_metric
from fastrfm.placement import placed
from fastrfm.validation import (
    check_array2d,
    check_columns,
    check_number,
    check_out,
    check_same_features,
    check_same_rows,
    floating_dtype,
)

__all__ = ["Kernel", "kernel_matmul", "kernel_matrix"]


@dataclass(frozen=True)
class Kernel:
    """A kernel of the family ``exp(-(||A^T (x - z)||_norm / bandwidth)^exponent)``.

    Attributes
    ----------
    norm : float
        The p of the distance, in (0, 2].
    exponent : float
        The q, in (0, norm]: beyond it the kernel is not positive definite.
    bandwidth : float
        The L, positive, in units of the distance.

    Raises
    ------
    TypeError, ValueError
        On construction, if a value is no number or out of range.
    """

    norm: float = 2.0
    exponent: float = 1.0
    bandwidth: float = 10.0

    def __post_init__(self) -> None:
        norm = check_number("norm", self.norm, low=0, low_ok=False, high=2)
        exponent = check_number("exponent", self.exponent, low=0, low_ok=False, high=2)
        if exponent > norm:
            raise ValueError(
                f"exponent must not exceed norm, or the kernel is not positive definite; "
                f"got exponent {exponent:g} and norm {norm:g}"
            )
        bandwidth = check_number("bandwidth", self.bandwidth, low=0, low_ok=False)
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "exponent", exponent)
        object.__setattr__(self, "bandwidth", bandwidth)


def kernel_matrix(
    X: ArrayLike,
    Z: ArrayLike | None = None,
    *,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
    out: NDArray[Any] | None = None,
    device: str | None = None,
) -> NDArray[Any]:
    """Kernel matrix ``K[i, j] = exp(-(||A^T (x_i - z_j)||_norm / bandwidth)^exponent)``.

    With the defaults, the Laplace kernel in a Mahalanobis metric ``M = A A^T`` [1]_. Distances
    are accurate to 1e-4 (float32) or 1e-10 (float64) relatively, also between rows that are close
    to each other and far from the origin; identical rows give exactly 1.

    Parameters
    ----------
    X : array-like of shape (n, d)
        float32, float64, integers or bool (computed in float32). NumPy's, or, as all arrays here,
        CuPy's or PyTorch's, whose result is then of their kind, where they lie.
    Z : array-like of shape (m, d), optional
        None takes `X`; the result is then exactly symmetric, from half the evaluations.
    metric : None, array-like of shape (d,) or (d, d)
        The identity, non-negative weights (the diagonal of M), or symmetric PSD M (not its root).
    bandwidth : float
        L > 0.
    exponent : float
        q, in (0, norm].
    norm : float
        p, in (0, 2]. For p other than 2, A is the symmetric root of M.
    out : ndarray of shape (n, m), optional
        C-contiguous, of the result's dtype; the result is written here.
    device : {"cpu", "cuda"}, optional
        Where to compute. None: where the arrays lie; those of the host are computed on the CPU, or
        with "cuda" go to CuPy's current device, by parts where that has too little memory.

    Returns
    -------
    K : ndarray of shape (n, m)
        float64 if `X` or `Z` is, else float32.

    Raises
    ------
    TypeError
        For arrays or parameters of another type.
    ValueError
        For NaN, infinity, wrong shapes, or values out of range; for arrays in several places.
    RuntimeError
        If CUDA is asked for and cannot be used: says what is missing.
    MemoryError
        If the device has too little memory.

    See Also
    --------
    kernel_matmul : Its product with a matrix, without storing it.
    solve_ridge : The kernel ridge regression with it.

    References
    ----------
    .. [1] Radhakrishnan, Beaglehole, Pandit, Belkin, "Mechanism for feature learning in neural
       networks and backpropagation-free machine learning models", Science 2024,
       doi:10.1126/science.adi5639.

    Examples
    --------
    Distance counts along the first axis only:

    >>> import fastrfm
    >>> X = [[0.0, 0.0], [1.0, 5.0]]
    >>> fastrfm.kernel_matrix(X, metric=[1.0, 0.0], bandwidth=1.0).round(3)
    array([[1.   , 0.368],
           [0.368, 1.   ]])
    """
    kernel = Kernel(norm, exponent, bandwidth)
    with placed(device, X=X, Z=Z, out=out) as place:
        x = check_array2d("X", place.take(X))
        z = None if Z is None else check_array2d("Z", place.take(Z))
        if z is not None:
            check_same_features(x, z)
        root = root_of_metric(metric, norm=kernel.norm, n_features=x.shape[1])
        result = place.take_out(out)
        if result is not None:
            inputs = {"X": x} if z is None else {"X": x, "Z": z}
            shape = (len(x), len(x) if z is None else len(z))
            check_out(result, shape, floating_dtype(x, z), **inputs)
        return place.give(backend.kernel_matrix(x, z, kernel, root, out=result), out)


def kernel_matmul(
    X: ArrayLike,
    Z: ArrayLike,
    V: ArrayLike,
    *,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
    out: NDArray[Any] | None = None,
    device: str | None = None,
) -> NDArray[Any]:
    """Product ``K(X, Z) @ V`` without forming K; the predictor at `X` if `V` is its `dual_coef_`.

    Parameters
    ----------
    X : array-like of shape (n, d)
        float32, float64, integers or bool (computed in float32).
    Z : array-like of shape (m, d)
        The centres. The array `X` itself: half the evaluations, as K is symmetric.
    V : array-like of shape (m, c)
        c >= 1.
    metric, bandwidth, exponent, norm
        As for :func:`kernel_matrix`.
    out : ndarray of shape (n, c), optional
        C-contiguous, of the result's dtype; the result is written here.
    device : {"cpu", "cuda"}, optional
        As for :func:`kernel_matrix`.

    Returns
    -------
    KV : ndarray of shape (n, c)
        float64 if any argument is, else float32. Bitwise the same for every number of threads.

    Raises
    ------
    TypeError
        For arrays or parameters of another type.
    ValueError
        For NaN, infinity, wrong shapes, or values out of range.

    See Also
    --------
    kernel_matrix : The kernel matrix itself.
    gradients : The gradients of this predictor.

    Examples
    --------
    >>> import fastrfm
    >>> X, Z, V = [[0.0], [1.0]], [[0.0], [2.0]], [[1.0], [1.0]]
    >>> fastrfm.kernel_matmul(X, Z, V, bandwidth=1.0).round(3)
    array([[1.135],
           [0.736]])
    """
    kernel = Kernel(norm, exponent, bandwidth)
    with placed(device, X=X, Z=Z, V=V, out=out) as place:
        x = check_array2d("X", place.take(X))
        z = x if Z is X else check_array2d("Z", place.take(Z))
        check_same_features(x, z)
        v = check_columns("V", place.take(V), "n_centres")
        check_same_rows("V", v, "Z", z)
        root = root_of_metric(metric, norm=kernel.norm, n_features=x.shape[1])
        dtype = floating_dtype(x, z, v)
        result = place.take_out(out)
        if result is not None:
            check_out(result, (len(x), v.shape[1]), dtype, X=x, Z=z, V=v)
        return place.give(backend.kernel_matmul(x, z, v, kernel, root, out=result), out)
