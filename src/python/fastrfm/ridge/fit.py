"""The choice of a solver, the solve by factorisation, and the checked residual."""

from __future__ import annotations

import warnings
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastrfm import backend
from fastrfm.arrays import namespace, to_place_of
from fastrfm.cuda.place import on_device, rows_on_device
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.remote import RemoteRows
from fastrfm.ridge.cholesky import OnFailure, factorise
from fastrfm.ridge.device_plan import make_device_plan
from fastrfm.ridge.early_stop import HeldOutRows
from fastrfm.ridge.iterative import solve_by_pcg
from fastrfm.ridge.plan import Plan, make_plan, make_remote_plan
from fastrfm.ridge.solution import RidgeFit
from fastrfm.ridge.weights import row_ridges
from fastrfm.watch import SILENT, Watch

__all__ = ["fit_ridge"]

Array = NDArray[Any]

# A residual above this is never put down to rounding, however large the coefficients.
LARGEST_ROUNDING = 1e-2
# Iterative refinement stops when a step no longer halves the residual; it seldom takes two.
MAX_REFINEMENTS = 5


def fit_ridge(
    X: Array,
    Y: Array,
    kernel: Kernel,
    root: Root,
    *,
    alpha: float,
    solver: str = "auto",
    tol: float = 1e-4,
    memory_limit: int | None = None,
    reserved: int = 0,
    start: Array | None = None,
    sample_weight: NDArray[np.float64] | None = None,
    on_failure: OnFailure = "raise_alpha",
    watch: Watch = SILENT,
    held_out: HeldOutRows | None = None,
) -> RidgeFit:
    """Solve ``(K(X, X) + alpha I) coef = Y`` for validated arguments.

    `Y` is (n, c) in the working dtype; `start`, likewise, is where an iterative solver begins;
    `reserved` bytes of the limit are not the solver's. On a device with a memory of its own arrays
    go there unless they are there, and a memory limit is that memory's. With `sample_weight` W,
    positive, the system is ``(K(X, X) + alpha W^-1) coef = Y``. Where a factorisation fails, alpha
    is raised with a `RuntimeWarning`, or, with `on_failure` "error", LinAlgError raised at once.
    Pcg ends above `tol` when the error of the rows `held_out` no longer improves.
    Raises and warns as :func:`fastrfm.solve_ridge` says.
    """
    if on_failure not in get_args(OnFailure):
        raise ValueError(
            f"on_failure must be one of {', '.join(get_args(OnFailure))}; got {on_failure!r}"
        )
    memory = backend.device_memory()
    if isinstance(X, RemoteRows):
        plan = make_remote_plan(len(X), Y.shape[1], Y.dtype, X.column_bytes, memory_limit)
    elif memory is None:
        plan = make_plan(len(X), X.shape[1], Y.shape[1], Y.dtype, solver, memory_limit, reserved)
    else:
        X, Y, start = rows_on_device(memory, X), memory.to_device(Y), on_device(memory, start)
        plan = make_device_plan(
            len(X),
            X.shape[1],
            Y.shape[1],
            Y.dtype,
            solver,
            memory_limit,
            memory,
            host_itemsize=0 if memory.holds(X) else X.dtype.itemsize,
        )
        if plan.solver == "cholesky":
            X = memory.to_device(X)
    try:
        if plan.solver == "cholesky":
            fit = _by_cholesky(
                X, Y, kernel, root, alpha, tol, plan, sample_weight, on_failure, watch
            )
        else:
            fit = solve_by_pcg(
                X, Y, kernel, root, alpha, tol, plan, start, sample_weight, watch, held_out
            )
    except MemoryError as error:
        if memory is None:
            raise
        raise MemoryError(
            f"solving for {len(X):,} rows by {plan.solver} was planned with {plan.bytes:,} bytes "
            f"on {memory.device}, but memory ran out ({str(error).rstrip('.')}). Free what else "
            'lies there, use fewer rows, float32, or device="cpu"'
        ) from error.with_traceback(None)
    rounding = min(_rounding_of_the_product(fit.coef, Y), LARGEST_ROUNDING)
    if not (fit.residual <= max(tol, rounding) or fit.stopped_early):
        warnings.warn(
            f"the relative residual of the solution by {fit.solver} is {fit.residual:.2g}, above "
            f"tol={tol:g}: the system is too ill-conditioned for {Y.dtype}. Raise alpha (now "
            f"{fit.alpha:g}) or tol, or pass float64",
            ConvergenceWarning,
            stacklevel=3,
        )
    return fit


def _by_cholesky(
    X: Array,
    Y: Array,
    kernel: Kernel,
    root: Root,
    alpha: float,
    tol: float,
    plan: Plan,
    sample_weight: NDArray[np.float64] | None,
    on_failure: OnFailure,
    watch: Watch,
) -> RidgeFit:
    factor, alpha = factorise(
        X,
        kernel,
        root,
        float(alpha),
        Y.dtype,
        sample_weight=sample_weight,
        on_failure=on_failure,
        watch=watch,
    )
    ridges = to_place_of(Y, row_ridges(len(X), alpha, sample_weight, Y.dtype))
    coef = factor.solve(Y)
    residuals = _residuals(X, Y, coef, ridges, kernel, root)
    residual = _relative(residuals, Y)
    refinements = 0
    while residual > tol and refinements < MAX_REFINEMENTS:
        refined = coef + factor.solve(residuals)
        new_residuals = _residuals(X, Y, refined, ridges, kernel, root)
        new_residual = _relative(new_residuals, Y)
        if not new_residual < residual:
            break
        stalled = new_residual > residual / 2
        coef, residuals, residual = refined, new_residuals, new_residual
        refinements += 1
        if stalled:
            break
    info = {
        "solver": "cholesky",
        "alpha": alpha,
        "residual": residual,
        "refinements": refinements,
        "bytes": plan.bytes,
    }
    return RidgeFit(coef, alpha, residual, "cholesky", plan.bytes, info, factor, sample_weight)


def _residuals(X: Array, Y: Array, coef: Array, ridges: Array, kernel: Kernel, root: Root) -> Array:
    residuals = backend.kernel_matmul(X, X, coef, kernel, root)
    residuals += ridges[:, None] * coef
    result: Array = namespace(Y).subtract(Y, residuals, out=residuals)
    return result


def _rounding_of_the_product(coef: Array, Y: Array) -> float:
    """Relative residual that rounding alone can make: ``eps |K| |coef|``, entries of K at most 1.

    A residual below it is that of an exact solution for a K whose entries were rounded once
    (Oettli and Prager 1964, doi:10.1007/BF01386090); no solver in this precision can be asked
    for less.
    """
    eps = float(np.finfo(Y.dtype).eps)
    xp = namespace(Y)
    row_sums = xp.abs(coef).sum(axis=0, dtype=np.float64)
    size = float(xp.linalg.norm(Y))
    return eps * float(np.sqrt(len(Y))) * float(xp.linalg.norm(row_sums)) / size if size else 0.0


def _relative(residuals: Array, Y: Array) -> float:
    xp = namespace(Y)
    size = float(xp.linalg.norm(Y))
    error = float(xp.linalg.norm(residuals))
    return error / size if size > 0 else error
