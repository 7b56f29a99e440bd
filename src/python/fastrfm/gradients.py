"""`gradients` and `agop`: validate, find the root of the metric, dispatch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrfm import backend
from fastrfm.kernels import Kernel
from fastrfm.metric import Root, root_of_metric
from fastrfm.validation import (
    check_array2d,
    check_columns,
    check_flag,
    check_same_features,
    check_same_rows,
    floating_dtype,
)

__all__ = ["agop", "gradients"]

Array = NDArray[Any]


def gradients(
    X: ArrayLike,
    Z: ArrayLike,
    coef: ArrayLike,
    *,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
) -> NDArray[Any]:
    """Gradients at the rows of `X` of the predictors ``f_l(x) = sum_j coef[j, l] K(x, z_j)``.

    ``grad f_l(x) = A sum_j coef[j, l] w_j phi(A^T (x - z_j))`` with, at distance D,
    ``w = -(q / L^q) K D^(q - p)`` and ``phi(u) = sign(u) |u|^(p - 1)`` for each coordinate,
    ``phi(0) = 0``. The kernel has a cusp at D = 0: there (up to 1e-10 bandwidths) a centre
    contributes nothing, so that a training row never sees itself.

    Parameters
    ----------
    X : array-like of shape (n, d)
        float32, float64, integers or bool (computed in float32).
    Z : array-like of shape (m, d)
        The centres.
    coef : array-like of shape (m, c)
        Dual coefficients, c >= 1.
    metric, bandwidth, exponent, norm
        As for :func:`kernel_matrix`.

    Returns
    -------
    g : ndarray of shape (n, c, d)
        float64 if any argument is, else float32.

    Raises
    ------
    TypeError
        For arrays or parameters of another type.
    ValueError
        For NaN, infinity, wrong shapes, or values out of range.
    """
    x, z, v, kernel, root = _validated(X, Z, coef, metric, bandwidth, exponent, norm)
    return backend.gradients(x, z, v, kernel, root)


def agop(
    X: ArrayLike,
    Z: ArrayLike,
    coef: ArrayLike,
    *,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
    diagonal: bool = False,
    center: bool = False,
) -> NDArray[Any]:
    """Average gradient outer product ``G = (1/n) sum_i sum_l grad f_l(x_i) grad f_l(x_i)^T``.

    Of the predictors ``f_l(x) = sum_j coef[j, l] K(x, z_j)``, over the rows of `X` [1]_, in one
    pass that stores neither K nor the gradients.

    G does not change when the outputs are rotated by an orthogonal matrix. Where `coef` is of
    numerically low rank (as for the classes of a classifier, whose indicators sum to 1), the pass
    runs over as many rotated outputs as the rank. It leaves out coefficients below 1e-5 of all
    (1e-10 in float64) in Frobenius norm, so a part of about 1e-10 (1e-20) of the trace.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The rows to average over: float32, float64, integers or bool (computed in float32).
    Z : array-like of shape (m, d)
        The centres.
    coef : array-like of shape (m, c)
        Dual coefficients, c >= 1.
    metric, bandwidth, exponent, norm
        As for :func:`kernel_matrix`.
    diagonal : bool
        Return only the diagonal of G.
    center : bool
        Subtract each output's mean gradient first.

    Returns
    -------
    G : ndarray of shape (d, d), or (d,) if `diagonal`
        float64 if any argument is, else float32. Bitwise the same for every number of threads.

    Raises
    ------
    TypeError
        For arrays or parameters of another type.
    ValueError
        For NaN, infinity, wrong shapes, or values out of range.

    References
    ----------
    .. [1] Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024, doi:10.1126/science.adi5639.
    """
    check_flag("diagonal", diagonal)
    check_flag("center", center)
    x, z, v, kernel, root = _validated(X, Z, coef, metric, bandwidth, exponent, norm)
    G = backend.gradient_sums(x, z, v, kernel, root, diagonal=diagonal, center=center)
    return G.astype(floating_dtype(x, z, v))


def _validated(
    X: ArrayLike,
    Z: ArrayLike,
    coef: ArrayLike,
    metric: ArrayLike | None,
    bandwidth: float,
    exponent: float,
    norm: float,
) -> tuple[Array, Array, Array, Kernel, Root]:
    kernel = Kernel(norm, exponent, bandwidth)
    x = check_array2d("X", X)
    z = check_array2d("Z", Z)
    check_same_features(x, z)
    v = check_columns("coef", coef, "n_centres")
    check_same_rows("coef", v, "Z", z)
    root = root_of_metric(metric, norm=kernel.norm, n_features=x.shape[1])
    return x, z, np.asarray(v, floating_dtype(x, z, v)), kernel, root
