"""The solve by conjugate gradients: the system in CG's terms, preconditioner, early stop, state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.arrays import namespace, to_place_of
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.ridge.early_stop import CHECK_STEPS, HeldOutRows, no_longer_improves
from fastrfm.ridge.nystrom import NystromPreconditioner, choose_rank
from fastrfm.ridge.pcg import CG_ARRAYS, CgState, pcg
from fastrfm.ridge.plan import Plan
from fastrfm.ridge.solution import RidgeFit
from fastrfm.ridge.stored import stored_product
from fastrfm.ridge.weights import bounded_weights
from fastrfm.threads import one_blas_thread
from fastrfm.watch import Watch

__all__ = ["solve_by_pcg"]

Array = NDArray[Any]

# Where the preconditioner has a landmark for every row it is an inverse but for rounding: two or
# three iterations of at most 100 rows reach this, and a row of weight 2 then counts as two rows to
# the digits of a factorisation.
TOL_OF_FULL_RANK = 1e-10


def solve_by_pcg(
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
    """Solve as planned; the arguments are those of `fastrfm.ridge.fit.fit_ridge`.

    `X` and `Y` lie where the solve runs.
    """
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
