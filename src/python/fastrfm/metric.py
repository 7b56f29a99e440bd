"""The Mahalanobis metric: its square root, the power of an AGOP, the rank cut.

Distances are measured as ``||A^T (x - z)||_p`` with ``M = A A^T``. A metric is what users pass
and read: None (the identity), a vector of weights (the diagonal of `M`), or `M`. A root is `A`:
None, a vector (its diagonal), or a (d, k) matrix; always float64. For p = 2 every root of `M`
gives the same distances, so the smallest one is used: one column for each eigenvalue that counts.
For other p the symmetric root is meant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, get_lapack_funcs

from fastrfm.arrays import to_host
from fastrfm.threads import one_blas_thread
from fastrfm.validation import check_finite

__all__ = ["agop_in_units", "metric_from_agop", "metric_of_root", "power_root", "root_of_metric"]

Metric = NDArray[np.floating[Any]] | None
Root = NDArray[np.float64] | None

# How far a metric may be from symmetric or from semi-definite, relative to its largest entry or
# eigenvalue, and still count as rounded: that of a product of d terms in its own precision.
_ROUNDING = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-9}
# From this many features on a factorisation that stops at the rank is tried before a full
# eigendecomposition: 4,096 features at rank 1,200 1.9 s against 11, 2,048 0.7 against 1.2 (one
# thread of an AMD EPYC, Zen 4).
PIVOTED_FEATURES = 1_024
# What such a factorisation leaves is at most this fraction of the smallest eigenvalue that is kept.
_LEFT_OF_CUT = 1e-3
# Eigenvalues below d times this fraction of the largest are rounding noise of the decomposition.
_NOISE = 4 * float(np.finfo(np.float64).eps)


def root_of_metric(metric: Any, *, norm: float, n_features: int) -> Root:
    """Return the root of a metric as users pass it.

    Parameters
    ----------
    metric : None, array-like of shape (d,) or (d, d)
        The identity, non-negative weights (the diagonal of M), or symmetric PSD M.
    norm : float
        The p of the distance.
    n_features : int
        The d that the metric must fit.

    Returns
    -------
    root : None or ndarray of shape (d,) or (d, k), float64

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the shape is wrong, an entry is NaN or infinite, a weight is negative, or the matrix is
        not symmetric or not positive semi-definite.
    """
    if metric is None:
        return None
    M = to_host(metric)
    if M.dtype.kind not in "fiub" or M.dtype.itemsize > 8:
        raise TypeError(
            "metric must be None, a vector of weights or a matrix of real numbers; "
            f"got dtype {M.dtype}"
        )
    d = n_features
    if M.shape not in ((d,), (d, d)):
        raise ValueError(
            f"metric must have shape ({d},) (weights) or ({d}, {d}) (matrix) for {d} features; "
            f"got shape {M.shape}"
        )
    rounding = _ROUNDING.get(M.dtype, 1e-9 if M.dtype.kind != "f" else 1e-3)
    M = M.astype(np.float64)
    check_finite("metric", M)
    if M.ndim == 1:
        if M.min() < 0:
            k = int(M.argmin())
            raise ValueError(f"metric has a negative weight, {M[k]:g} for feature {k}")
        return _square_root(M)
    asymmetry = np.abs(M - M.T)
    if asymmetry.max() > rounding * np.abs(M).max():
        i, j = (int(index) for index in np.unravel_index(asymmetry.argmax(), M.shape))
        raise ValueError(
            f"metric must be symmetric; metric[{i}, {j}] = {M[i, j]:g} and "
            f"metric[{j}, {i}] = {M[j, i]:g}"
        )
    diagonal = np.diag(M)
    if np.count_nonzero(M) == np.count_nonzero(diagonal) and diagonal.min() >= 0:
        return _square_root(diagonal)
    w, V = _eigh(M)
    if w[0] < -rounding * max(w[-1], 0.0):
        raise ValueError(
            f"metric must be positive semi-definite; its smallest eigenvalue is {w[0]:g}. "
            "Pass M itself, not a root of it"
        )
    if norm == 2:
        return _equilibrated_root(M)
    return _assemble(np.sqrt(np.clip(w, 0, None)), V, norm=norm)


def metric_from_agop(G: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale an AGOP to a metric: its largest entry becomes 1 (a zero AGOP stays zero)."""
    largest = G.max()
    return G / largest if largest > 0 else G


def agop_in_units(G: NDArray[np.float64], units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the AGOP, (d, d) or (d,), in columns that are `units` times as large; 0 times: 0."""
    inverse = np.divide(1.0, units, np.zeros_like(units), where=units > 0)
    scaled: NDArray[np.float64] = G * (
        inverse * inverse if G.ndim == 1 else np.outer(inverse, inverse)
    )
    return scaled


def power_root(
    M: NDArray[np.float64], *, power: float, norm: float, rank_tolerance: float
) -> NDArray[np.float64]:
    """Return the root ``A = M^power`` of the next metric ``A A^T``.

    Directions in which ``A A^T`` has an eigenvalue below `rank_tolerance` times its largest are
    cut. For rows x, z that changes the squared distance by at most
    ``rank_tolerance * lambda_max * ||x - z||^2``.

    Parameters
    ----------
    M : ndarray of shape (d, d) or (d,)
        Symmetric PSD, or the diagonal of a diagonal metric.
    power : float
        0.5 makes `M` itself the metric.
    norm : float
        The p of the distance: for 2 the result is (d, k), k the numerical rank.
    rank_tolerance : float
    """
    if M.ndim == 1:
        A: NDArray[np.float64] = np.clip(M, 0, None) ** power
        A[A * A < rank_tolerance * (A * A).max()] = 0.0
        return A
    w, V = _leading_eigenpairs(M, rank_tolerance ** (0.5 / power))
    w = np.clip(w, 0, None)
    return _assemble(w**power, V, norm=norm, tolerance=rank_tolerance)


def metric_of_root(root: Root) -> Metric:
    """Return ``M = A A^T``: None, (d,) or (d, d)."""
    if root is None:
        return None
    if root.ndim == 1:
        return root * root
    with one_blas_thread():
        return root @ root.T


def _eigh(M: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues, ascending, and eigenvectors; the same bits for every number of BLAS threads."""
    with one_blas_thread():
        w, V = eigh((M + M.T) / 2)
    return w, V


def _leading_eigenpairs(
    M: NDArray[np.float64], cut: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenpairs of a PSD `M`, ascending: all those above `cut` times the largest, or more.

    A large matrix of low rank, as the AGOP of few rows in many features, is factorised first:
    ``P^T M P = L L^T`` by a Cholesky factorisation with pivots (LAPACK `pstrf`; Higham 1990), which
    ends once nothing that counts is left, d r^2 operations for rank r. With ``L^T L = U w U^T``
    (r x r) the eigenvectors are ``P L U w^-1/2``. What is left has no diagonal entry, and so no
    eigenvalue beyond d times that, above the tolerance.
    """
    d = len(M)
    if d < PIVOTED_FEATURES:
        return _eigh(M)
    largest = float(np.diag(M).max())
    tolerance = max(cut * _LEFT_OF_CUT / d, _NOISE) * largest
    with one_blas_thread():
        (pstrf,) = get_lapack_funcs(("pstrf",), dtype=M.dtype)
        factor, pivots, rank, _ = pstrf((M + M.T) / 2, tol=tolerance, lower=1, overwrite_a=1)
        if largest <= 0 or rank > d // 2:
            return _eigh(M)
        L = np.zeros((d, rank))
        L[pivots - 1] = np.tril(factor)[:, :rank]
        del factor
        w, U = eigh(L.T @ L)
        positive = w > _NOISE * rank * w[-1]
        w, U = w[positive], U[:, positive]
        return w, L @ (U / np.sqrt(w))


def _equilibrated_root(M: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a root of `M` for p = 2, by way of the matrix scaled to a unit diagonal.

    Features in very different units make eigenvalues that differ by more than float64 holds;
    between scaled features they do not. With ``M = S C S``, S diagonal, a root of M is S times one
    of C.
    """
    scale = np.sqrt(np.clip(np.diag(M), 0, None))
    live = scale > 0  # a feature of weight zero has no other entries either
    C = M[np.ix_(live, live)] / np.outer(scale[live], scale[live])
    w, V = _eigh(C)
    part = _assemble(np.sqrt(np.clip(w, 0, None)), V, norm=2)
    root = np.zeros((len(M), part.shape[1]))
    root[live] = scale[live, None] * part
    return root


def _square_root(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    root: NDArray[np.float64] = np.sqrt(weights)
    return root


def _assemble(
    a: NDArray[np.float64], V: NDArray[np.float64], *, norm: float, tolerance: float = 0.0
) -> NDArray[np.float64]:
    """Root with singular values `a` (ascending) along the columns of `V`, the small ones cut."""
    keep = a * a >= max(tolerance, _NOISE * len(a)) * a[-1] * a[-1]
    keep[-1] = True  # the zero metric keeps one column, of zeros
    a, V = a[keep], V[:, keep]
    if norm == 2:
        return np.ascontiguousarray(V * a)
    with one_blas_thread():
        return np.ascontiguousarray((V * a) @ V.T)
