"""Kernel ridge regression ``(K + alpha I) coef = Y``: solvers, and what a solution knows."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrfm.kernels import Kernel
from fastrfm.metric import root_of_metric
from fastrfm.placement import placed
from fastrfm.ridge.fit import fit_ridge
from fastrfm.ridge.plan import Plan, check_solver, make_plan
from fastrfm.ridge.solution import RidgeFit
from fastrfm.validation import (
    check_array2d,
    check_columns,
    check_memory_limit,
    check_number,
    check_same_rows,
    check_sample_weight,
    floating_dtype,
)

__all__ = ["Plan", "RidgeFit", "fit_ridge", "make_plan", "solve_ridge"]


@overload
def solve_ridge(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    alpha: float = ...,
    metric: ArrayLike | None = ...,
    bandwidth: float = ...,
    exponent: float = ...,
    norm: float = ...,
    solver: str = ...,
    tol: float = ...,
    memory_limit: int | None = ...,
    sample_weight: ArrayLike | None = ...,
    return_info: Literal[False] = ...,
    device: str | None = ...,
) -> NDArray[Any]: ...
@overload
def solve_ridge(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    alpha: float = ...,
    metric: ArrayLike | None = ...,
    bandwidth: float = ...,
    exponent: float = ...,
    norm: float = ...,
    solver: str = ...,
    tol: float = ...,
    memory_limit: int | None = ...,
    sample_weight: ArrayLike | None = ...,
    return_info: Literal[True],
    device: str | None = ...,
) -> tuple[NDArray[Any], dict[str, Any]]: ...
def solve_ridge(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    alpha: float = 1e-3,
    metric: ArrayLike | None = None,
    bandwidth: float = 10.0,
    exponent: float = 1.0,
    norm: float = 2.0,
    solver: str = "auto",
    tol: float = 1e-4,
    memory_limit: int | None = None,
    sample_weight: ArrayLike | None = None,
    return_info: bool = False,
    device: str | None = None,
) -> NDArray[Any] | tuple[NDArray[Any], dict[str, Any]]:
    """Dual coefficients of kernel ridge regression: ``(K(X, X) + alpha I) coef = Y``.

    Parameters
    ----------
    X : array-like of shape (n, d)
        float32, float64, integers or bool (computed in float32).
    Y : array-like of shape (n, c)
        Targets, c >= 1.
    alpha : float
        Ridge, as in :class:`sklearn.kernel_ridge.KernelRidge`; at least 0. If the system is not
        numerically positive definite it is raised by decades, with a `RuntimeWarning`.
    metric, bandwidth, exponent, norm
        As for :func:`kernel_matrix`.
    solver : {"auto", "cholesky", "pcg"}
        "cholesky" factorises one packed triangle of K in place: n^2/2 words, n^3/3 operations.
        "pcg" runs conjugate gradients with a Nystrom preconditioner (Frangella, Tropp, Udell 2021)
        on a stored triangle where memory allows, else on K recomputed in every product: some tens
        of passes of n^2. "auto" takes Cholesky up to 5,000 rows where that fits `memory_limit`,
        else pcg.
    tol : float
        Relative residual ``||(K + alpha I) coef - Y|| / ||Y||`` to reach. It is measured on the
        kernel, not taken from the solver; a solution above it is refined. One that stays above it,
        and above what rounding K once in the working precision can cause, comes with a
        `ConvergenceWarning`.
    memory_limit : int, optional
        Bytes that the solve may allocate. "auto" and "pcg" keep to it by not storing K; a solve
        that needs more is refused before it starts. None: half of the machine's memory, which
        only decides whether K is stored.
    sample_weight : array-like of shape (n,), optional
        Positive weights w: then ``(K(X, X) + alpha W^-1) coef = Y``, which minimises
        ``sum_i w_i |y_i - f(x_i)|^2 + alpha ||f||^2``. A row of weight 2 is as good as two equal
        rows. The residual is of this system, in which every row counts the same. Leave rows of
        weight zero out.
    return_info : bool
        Return also what was done.
    device : {"cpu", "cuda"}, optional
        As for :func:`kernel_matrix`. On a CUDA device "cholesky" is cuSOLVER's, in one triangle of
        a full K and up to 46,340 rows; "auto" takes it up to 10,000 rows; `memory_limit` is of the
        device's memory, and None all that is free there.

    Returns
    -------
    coef : ndarray of shape (n, c)
        float64 if `X` or `Y` is, else float32.
    info : dict
        With `return_info`: solver, alpha (really used), residual, bytes; for cholesky also
        refinements; for pcg iterations, rank (of the preconditioner) and stored (whether K was).

    Raises
    ------
    TypeError
        For arrays or parameters of another type.
    ValueError
        For NaN, infinity, wrong shapes, or values out of range.
    MemoryError
        If the solve needs more than `memory_limit`, or than the device has.
    RuntimeError
        If CUDA is asked for and cannot be used: says what is missing.
    numpy.linalg.LinAlgError
        If no factorisation succeeds up to the largest alpha tried.

    See Also
    --------
    kernel_matmul : The predictions of the coefficients.
    RFMRegressor : Chooses ridge and kernel, and learns the metric.

    Examples
    --------
    >>> import fastrfm
    >>> import numpy as np
    >>> X = np.linspace(0, 1, 50)[:, None]
    >>> coef = fastrfm.solve_ridge(X, np.sin(6 * X), alpha=1e-6, bandwidth=1.0)
    >>> fastrfm.kernel_matmul([[0.5]], X, coef, bandwidth=1.0).round(2)  # sin(3) = 0.141...
    array([[0.14]])
    """
    kernel = Kernel(norm, exponent, bandwidth)
    with placed(device, X=X, Y=Y) as place:
        x = check_array2d("X", place.take(X))
        y = check_columns("Y", place.take(Y), "n_samples")
        check_same_rows("Y", y, "X", x)
        root = root_of_metric(metric, norm=kernel.norm, n_features=x.shape[1])
        check_number("alpha", alpha, low=0, low_ok=True)
        check_number("tol", tol, low=0, low_ok=False)
        check_solver(solver)
        check_memory_limit(memory_limit)
        weights = check_sample_weight("sample_weight", sample_weight, "X", x, zero_ok=False)
        dtype = floating_dtype(x, y)
        if dtype == np.float64:
            x = x.astype(dtype, copy=False)
        fit = fit_ridge(
            x,
            y.astype(dtype, copy=False),
            kernel,
            root,
            alpha=alpha,
            solver=solver,
            tol=tol,
            memory_limit=memory_limit,
            sample_weight=weights,
        )
        coef: NDArray[Any] = place.give(fit.coef)
        return (coef, fit.info) if return_info else coef
