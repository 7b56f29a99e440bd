"""`gradients` and `agop`: validate, find the root of the metric, dispatch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from fastrfm import backend
from fastrfm.kernels import Kernel
from fastrfm.metric import Root, root_of_metric
from fastrfm.outputs import check_not_centred, check_output_samples, draw_seed
from fastrfm.placement import Placement, placed
from fastrfm.validation import (
    check_array2d,
    check_columns,
    check_flag,
    check_same_features,
    check_same_rows,
    check_sample_weight,
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
    device: str | None = None,
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
    device : {"cpu", "cuda"}, optional
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

    See Also
    --------
    agop : The mean of their outer products, without storing them.

    Examples
    --------
    Two rows and one centre: the prediction falls on the way from it, in either direction.

    >>> import fastrfm
    >>> fastrfm.gradients([[-1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0]], [[1.0]], bandwidth=1.0).round(3)
    array([[[ 0.368,  0.   ]],
    <BLANKLINE>
           [[-0.368,  0.   ]]])
    """
    kernel = Kernel(norm, exponent, bandwidth)
    with placed(device, X=X, Z=Z, coef=coef) as place:
        x, z, v, root = _validated(place, X, Z, coef, metric, kernel)
        return place.give(backend.gradients(x, z, v, kernel, root))


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
    output_samples: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    sample_weight: ArrayLike | None = None,
    device: str | None = None,
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
    output_samples : int, optional
        Estimate G from this many random mixtures of the outputs instead of all c, at about
        ``output_samples / c`` of the work beside that of the kernel. Each tile of rows (at most
        128) mixes anew, ``coef R / sqrt(output_samples)`` with R of independent random signs, so
        that the mean over the signs is G; the tiles depend on n, c, d and the instruction set.
        Over tile t let ``B_kl = sum_i g_k g_l^T``. Then the trace of the estimate has the variance

        ``2 / (n^2 output_samples) sum_t sum_(k != l) trace(B_kl)^2``,

        and the squared Frobenius error the mean ``1 / (n^2 output_samples) sum_t sum_(k != l)
        (|B_kl|_F^2 + trace(B_kl^2))``. Where there are no more outputs than that (after the
        rotation, where it takes place), and by default, G is exact. Not with `center`: the tiles'
        mixtures share no signs, so the outputs' means over all rows are not to be had from them.
    random_state : int or RandomState, optional
        Draws the signs; G is exact without `output_samples`, and nothing is drawn.
    sample_weight : array-like of shape (n,), optional
        Weights of the rows of `X`, at least 0 and not all 0: G is the weighted mean, and so are the
        gradients that `center` subtracts. A row of weight 2 is as good as two equal rows.
    device : {"cpu", "cuda"}, optional
        As for :func:`kernel_matrix`.

    Returns
    -------
    G : ndarray of shape (d, d), or (d,) if `diagonal`
        float64 if any argument is, else float32. Bitwise the same for every number of threads.

    Raises
    ------
    TypeError
        For arrays or parameters of another type.
    ValueError
        For NaN, infinity, wrong shapes, or values out of range; for `output_samples` with `center`.

    See Also
    --------
    gradients : The gradients at each row.
    solve_ridge : The coefficients.

    References
    ----------
    .. [1] Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024, doi:10.1126/science.adi5639.

    Examples
    --------
    Of three inputs the target depends on the first:

    >>> import fastrfm
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(500, 3))
    >>> coef = fastrfm.solve_ridge(X, np.sin(X[:, :1]))
    >>> G = fastrfm.agop(X, X, coef)
    >>> bool(G[0, 0] > 0.9 * np.trace(G))
    True
    """
    check_flag("diagonal", diagonal)
    check_flag("center", center)
    samples = check_output_samples("output_samples", output_samples)
    check_not_centred("output_samples", samples, "center", center)
    seed = 0 if samples is None else draw_seed(check_random_state(random_state))
    kernel = Kernel(norm, exponent, bandwidth)
    with placed(device, X=X, Z=Z, coef=coef) as place:
        x, z, v, root = _validated(place, X, Z, coef, metric, kernel)
        weights = check_sample_weight("sample_weight", sample_weight, "X", x, zero_ok=True)
        G = backend.gradient_sums(
            x,
            z,
            v,
            kernel,
            root,
            diagonal=diagonal,
            center=center,
            output_samples=samples,
            seed=seed,
            row_weights=weights,
        )
        return place.give(G.astype(floating_dtype(x, z, v)))


def _validated(
    place: Placement, X: ArrayLike, Z: ArrayLike, coef: ArrayLike, metric: Any, kernel: Kernel
) -> tuple[Array, Array, Array, Root]:
    x = check_array2d("X", place.take(X))
    z = check_array2d("Z", place.take(Z))
    check_same_features(x, z)
    v = check_columns("coef", place.take(coef), "n_centres")
    check_same_rows("coef", v, "Z", z)
    root = root_of_metric(metric, norm=kernel.norm, n_features=x.shape[1])
    return x, z, v.astype(floating_dtype(x, z, v), copy=False), root
