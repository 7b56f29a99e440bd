"""Slow float64 reference of the mathematics, to hold the fast code against.

Written from the definitions alone, with one row of ``X`` at a time and explicit differences
``x - z``: nothing here is shared with the package, and nothing expands ``|x - z|^2``.

=============  =====================================================================
metric         ``M = A A^T``; ``None`` is the identity, a vector is the diagonal of M
distance       ``D = || A^T (x - z) ||_p``
kernel         ``K = exp(-(D / L)^q)``
predictor      ``f_l(x) = sum_j coef[j, l] K(x, z_j)``
gradient       ``A sum_j coef[j, l] w phi(A^T (x - z_j))``, ``w = -(q / L^q) K D^(q - p)``,
               ``phi(u) = sign(u) |u|^(p - 1)`` per coordinate, ``phi(0) = 0``
singular case  a pair with ``D <= 1e-10 L`` adds nothing to a gradient
AGOP           ``sum_i w_i sum_l g_l(x_i) g_l(x_i)^T / sum_i w_i`` over the rows of X, w = 1
=============  =====================================================================

The functions have the names and the arguments of the public ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SAME_POINT = 1e-10  # in bandwidths: at or below it a pair adds nothing to a gradient
NULL_EIGENVALUE = 1e-12  # of the largest: a matrix of exact low rank has only rounding below it


def metric_root(metric: ArrayLike | None, norm: float, n_features: int) -> Array:
    """Return A (d, d) with ``A A^T = M``: diagonal, or symmetric, which serves every norm."""
    if metric is None:
        return np.eye(n_features)
    m = np.asarray(metric, dtype=np.float64)
    if m.ndim == 1:
        return np.diag(np.sqrt(m))
    values, vectors = np.linalg.eigh(m)
    values = np.where(values > NULL_EIGENVALUE * values.max(), values, 0.0)
    return (vectors * np.sqrt(values)) @ vectors.T


def transformed_differences(x: Array, Z: Array, root: Array) -> Array:
    """Return ``A^T (x - z_j)`` for one row x and every row of Z, (m, d)."""
    differences = x[None, :] - Z
    if np.count_nonzero(root - np.diag(np.diagonal(root))) == 0:
        return differences * np.diagonal(root)
    return np.einsum("jk,kl->jl", differences, root)  # plain loops: no BLAS, no threads


def p_norm(U: Array, norm: float) -> Array:
    """Return ``||u||_p`` of each row, scaled so that neither end of the range overflows."""
    size = np.abs(U)
    largest = size.max(axis=1)
    scale = np.where(largest > 0, largest, 1.0)
    return scale * ((size / scale[:, None]) ** norm).sum(axis=1) ** (1 / norm)


def distances(
    X: ArrayLike, Z: ArrayLike | None, *, metric: ArrayLike | None = None, norm: float = 2.0
) -> Array:
    """Return D (n, m)."""
    x, z = _rows(X, Z)
    root = metric_root(metric, norm, x.shape[1])
    return np.stack([p_norm(transformed_differences(row, z, root), norm) for row in x])


def kernel_matrix(
    X: ArrayLike,
    Z: ArrayLike | None = None,
    *,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
) -> Array:
    """Return K (n, m)."""
    D = distances(X, Z, metric=metric, norm=norm)
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(-((D / bandwidth) ** exponent))


def kernel_matmul(
    X: ArrayLike,
    Z: ArrayLike | None,
    V: ArrayLike,
    *,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
) -> Array:
    """Return ``K V`` (n, c): with dual coefficients for V, the predictor at the rows of X."""
    options = {"metric": metric, "bandwidth": bandwidth, "exponent": exponent, "norm": norm}
    return kernel_matrix(X, Z, **options) @ np.asarray(V, dtype=np.float64)


def gradients(
    X: ArrayLike,
    Z: ArrayLike | None,
    coef: ArrayLike,
    *,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
) -> Array:
    """Return the gradient of every output at every row of X in input space, (n, c, d)."""
    x, z = _rows(X, Z)
    alpha = np.asarray(coef, dtype=np.float64)
    root = metric_root(metric, norm, x.shape[1])
    result = np.zeros((x.shape[0], alpha.shape[1], x.shape[1]))
    for i, row in enumerate(x):
        U = transformed_differences(row, z, root)
        D = p_norm(U, norm)
        apart = SAME_POINT * bandwidth < D
        U, D = U[apart], D[apart]
        K = np.exp(-((D / bandwidth) ** exponent))
        w = -(exponent / bandwidth**exponent) * K * D ** (exponent - norm)
        moved = U != 0
        phi = np.where(moved, np.sign(U) * np.abs(np.where(moved, U, 1.0)) ** (norm - 1), 0.0)
        for output in range(alpha.shape[1]):
            transformed = ((alpha[apart, output] * w)[:, None] * phi).sum(axis=0)
            result[i, output] = root @ transformed
    return result


def agop(
    X: ArrayLike,
    Z: ArrayLike | None,
    coef: ArrayLike,
    *,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
    diagonal: bool = False,
    center: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Return the average gradient outer product (d, d), or its diagonal (d,)."""
    options = {"metric": metric, "bandwidth": bandwidth, "exponent": exponent, "norm": norm}
    g = gradients(X, Z, coef, **options)
    m, n_outputs, n_features = g.shape
    weights = np.ones(m) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if center:
        g = g - np.average(g, axis=0, weights=weights)  # one mean gradient per output
    total = np.zeros((n_features, n_features))
    for i in range(m):
        for output in range(n_outputs):
            total += weights[i] * np.outer(g[i, output], g[i, output])
    total /= weights.sum()
    return np.diagonal(total).copy() if diagonal else total


def solve_ridge(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    alpha: float = 1e-3,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Return the dual coefficients (n, c) of ``(K + alpha W^-1) coef = Y``."""
    K = kernel_matrix(X, metric=metric, bandwidth=bandwidth, exponent=exponent, norm=norm)
    weights = np.ones(len(K)) if sample_weight is None else np.asarray(sample_weight)
    return np.linalg.solve(K + alpha * np.diag(1 / weights), np.asarray(Y, dtype=np.float64))


def leave_one_out(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    alpha: float = 1e-3,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Return ``y_i - f_{-i}(x_i)`` (n, c), each f fitted with 1 less of the i-th row's weight.

    Fitted without the row, where it has no more than that.
    """
    x, y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    options = {"metric": metric, "bandwidth": bandwidth, "exponent": exponent, "norm": norm}
    residuals = np.empty_like(y)
    weights = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight)
    for i in range(len(x)):
        left = weights - (np.arange(len(x)) == i)
        kept = left > 0
        coef = solve_ridge(x[kept], y[kept], alpha=alpha, sample_weight=left[kept], **options)
        residuals[i] = y[i] - kernel_matmul(x[i : i + 1], x[kept], coef, **options)[0]
    return residuals


def _rows(X: ArrayLike, Z: ArrayLike | None) -> tuple[Array, Array]:
    x = np.asarray(X, dtype=np.float64)
    return x, x if Z is None else np.asarray(Z, dtype=np.float64)
