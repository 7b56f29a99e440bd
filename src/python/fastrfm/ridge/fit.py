"""The choice of a solver, the checked residual, and `RidgeFit`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastrfm import backend
from fastrfm.arrays import namespace, take_rows_of, to_host, to_place_of
from fastrfm.cuda.place import on_device, rows_on_device
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.remote import RemoteRows
from fastrfm.ridge.cholesky import Factor, OnFailure, factorise
from fastrfm.ridge.device_cholesky import DeviceFactor
from fastrfm.ridge.device_plan import make_device_plan
from fastrfm.ridge.early_stop import CHECK_STEPS, HeldOutRows, no_longer_improves
from fastrfm.ridge.leave_one_out import inverse_diagonal, leave_one_out
from fastrfm.ridge.nystrom import NystromPreconditioner, choose_rank
from fastrfm.ridge.pcg import CG_ARRAYS, CgState, pcg
from fastrfm.ridge.plan import Plan, make_plan, make_remote_plan
from fastrfm.ridge.stored import stored_product
from fastrfm.ridge.weights import bounded_weights, row_ridges
from fastrfm.threads import one_blas_thread
from fastrfm.watch import SILENT, Watch

__all__ = ["RidgeFit", "fit_ridge"]

Array = NDArray[Any]

# A residual above this is never put down to rounding, however large the coefficients.
LARGEST_ROUNDING = 1e-2
# Where the preconditioner has a landmark for every row it is an inverse but for rounding: two or
# three iterations of at most 100 rows reach this, and a row of weight 2 then counts as two rows to
# the digits of a factorisation.
TOL_OF_FULL_RANK = 1e-10
# Iterative refinement stops when a step no longer halves the residual; it seldom takes two.
MAX_REFINEMENTS = 5


@dataclass
class RidgeFit:
    """A kernel ridge regression that has been solved.

    Attributes
    ----------
    coef : ndarray of shape (n, c)
        On the device, if that has a memory of its own.
    alpha : float
        The ridge really used.
    residual : float
        ``||(K + alpha I) coef - Y|| / ||Y||``, measured; with sample weights
        ``||(K + alpha W^-1) coef - Y|| / ||Y||``, in which every row counts the same.
    solver : str
    bytes : int
        What the solve allocated at its peak.
    info : dict
        All of the above but `coef`; for cholesky the number of refinements, for pcg of iterations,
        the preconditioner's rank and whether K was stored.
    stopped_early : bool
        Whether rows held out ended pcg before its tolerance.
    """

    coef: Array
    alpha: float
    residual: float
    solver: str
    bytes: int
    info: dict[str, Any]
    _factor: Factor | DeviceFactor | None = field(repr=False)
    _sample_weight: NDArray[np.float64] | None = field(default=None, repr=False)
    stopped_early: bool = False

    def leave_one_out(
        self,
        rows: NDArray[np.intp] | None = None,
        unit_weight: NDArray[np.float64] | None = None,
    ) -> Array:
        """Residuals ``y_i - f_{-i}(x_i)`` of the predictors fitted without row i, in closed form.

        A row of weight w counts as w / u equal rows of weight u, and one of them is left out: the
        row keeps the weight ``max(w - u, 0)``.

        Parameters
        ----------
        rows : ndarray of int, optional
            The rows i; None takes all. Each costs n^2 / 3 operations.
        unit_weight : ndarray of shape (len(rows),), optional
            The u of each of them; None: 1.

        Returns
        -------
        residuals : ndarray of shape (len(rows), c)
            NumPy's.

        Raises
        ------
        RuntimeError
            After `release`, and after a solve by pcg.
        """
        if self._factor is None:
            raise RuntimeError(
                "leave_one_out needs a Cholesky factorisation that has not been released; this fit "
                f"is by {self.solver}"
            )
        chosen = np.arange(len(self.coef)) if rows is None else rows
        weights = None if self._sample_weight is None else self._sample_weight[chosen]
        diagonal = inverse_diagonal(self._factor, chosen)
        coef = to_host(take_rows_of(self.coef, chosen))
        return leave_one_out(diagonal, coef, self.alpha, weights, unit_weight)

    def release(self) -> None:
        """Free the factorisation (n^2 / 2 words); the coefficients stay."""
        self._factor = None


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
        plan = make_remote_plan(len(X), Y.shape[1])
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
            fit = _by_pcg(
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


def _by_pcg(
    X: Array,
    Y: Array,
    kernel: Kernel,
    root: Root,
    alpha: float,
    tol: float,
    plan: Plan,
    start: Array | None,
    sample_weight: NDArray[np.float64] | None,
    watch: Watch,
    held_out: HeldOutRows | None,
) -> RidgeFit:
    xp, dtype = namespace(Y), Y.dtype
    # CG wants a symmetric matrix near a multiple of I: with S = W^(1/2) and coef = S b it solves
    # (S K S + alpha I) b = S Y, whose residual is S times that of the system in coef. Without a
    # ridge the weights do not matter.
    weights = None
    if sample_weight is not None and alpha > 0:
        weights = bounded_weights(alpha, sample_weight)
    roots = None if weights is None else np.sqrt(weights)
    rank = min(plan.max_rank, choose_rank(X, kernel, root, alpha, roots))
    precondition = NystromPreconditioner(X, kernel, root, alpha, rank, dtype, roots, xp=xp)
    if rank == len(X) and dtype == np.float64:
        tol = min(tol, TOL_OF_FULL_RANK)
    if plan.stored:
        watch.phase("kernel")
    product = stored_product(X, kernel, root, like=Y) if plan.stored else None
    watch.phase("solve")
    if roots is not None:
        roots = to_place_of(Y, roots)
        weights = to_place_of(Y, weights)

    def matmul(P: NDArray[np.float64]) -> NDArray[np.float64]:
        V = _scaled(P, roots, xp.empty(P.shape, dtype))
        KV = backend.kernel_matmul(X, X, V, kernel, root) if product is None else product(V)
        result = alpha * P
        result += _scaled(KV, roots, KV)
        return result

    def on_step(state: CgState) -> bool:
        if held_out is not None and state.iterations % CHECK_STEPS == 0:
            coef = _scaled(state.coef, roots, xp.empty(Y.shape, dtype))
            state.errors.append(held_out.error(X, coef, kernel, root))
            if no_longer_improves(state.errors):
                return True
        watch.keeper.step(state)
        return False

    targets = Y.astype(np.float64)
    begin = None if start is None else start.astype(np.float64)
    if roots is not None:
        targets *= roots[:, None]
        if begin is not None:
            begin /= roots[:, None]
    # The products are ours, threaded; BLAS would only add up vectors, in an order of its threads.
    with one_blas_thread():
        solution = pcg(
            matmul,
            targets,
            precondition,
            tol=tol,
            start=begin,
            row_weights=None if weights is None else 1.0 / weights,
            on_residual=watch.residual,
            resume_from=_in_place_of(Y, watch.keeper.resumed_solve()),
            on_step=on_step,
        )
    info = {
        "solver": "pcg",
        "stored": plan.stored,
        "alpha": alpha,
        "residual": solution.residual,
        "iterations": solution.iterations,
        "rank": rank,
        "bytes": plan.bytes,
    }
    coef = _scaled(solution.coef, roots, xp.empty(Y.shape, dtype))
    return RidgeFit(
        coef,
        alpha,
        solution.residual,
        "pcg",
        plan.bytes,
        info,
        None,
        stopped_early=solution.stopped,
    )


def _in_place_of(Y: Array, state: CgState | None) -> CgState | None:
    """Return a state whose arrays lie where `Y` does."""
    if state is None:
        return None
    arrays = {name: to_place_of(Y, getattr(state, name)) for name in CG_ARRAYS}
    return replace(state, **arrays)


def _scaled(A: Array, roots: NDArray[np.float64] | None, out: Array) -> Array:
    """Write A, its rows times `roots`, to `out`; return that."""
    if roots is not None:
        scaled: Array = namespace(A).multiply(A, roots[:, None], out=out, casting="same_kind")
        return scaled
    if out is not A:
        out[...] = A
    return out


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
