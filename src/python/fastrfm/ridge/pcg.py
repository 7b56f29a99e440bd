"""Preconditioned conjugate gradients for ``(K + alpha I) coef = Y``, all outputs at once.

Vectors are NumPy's or CuPy's: all of one call of one namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.arrays import is_on_device, namespace, to_host

__all__ = ["CG_ARRAYS", "CgState", "Solution", "pcg"]

Array = NDArray[Any]
Vectors = NDArray[np.float64]

# Twice what the slowest of the systems measured takes to a residual of 1e-4 (pol, 13,500 rows,
# product Laplace kernel, alpha 1e-3).
MAX_ITERATIONS = 500
# CG's own residual drifts from the true one by rounding. It restarts from the true one so often.
MAX_RESTARTS = 4


@dataclass(frozen=True)
class Solution:
    """Coefficients, and the relative residual that was measured for them.

    Attributes
    ----------
    coef : ndarray of shape (n, c), float64
    residual : float
        Largest over outputs of ``||A coef_l - y_l|| / ||y_l||``, from a product with A.
    iterations : int
        Products with A inside CG.
    stopped : bool
        Whether `on_step` ended it.
    """

    coef: Vectors
    residual: float
    iterations: int
    stopped: bool = False


@dataclass
class CgState:
    """All that CG knows between two steps: from here it goes on to the same bits.

    Arrays are C-contiguous.

    Attributes
    ----------
    coef : ndarray of shape (n, c), float64
    active : ndarray of shape (a,), int
        Outputs that have not converged, whose vectors the others are.
    r, p : ndarray of shape (n, a), float64
        Residuals and directions.
    rz : ndarray of shape (a,), float64
        Inner products of residuals and preconditioned residuals.
    restarts, iterations : int
        Restarts from the true residual, and steps, so far.
    residual : float
        The true relative residual at the last restart.
    errors : list of float
        For `on_step` to remember what it has seen.
    """

    coef: Vectors
    active: NDArray[np.intp]
    r: Vectors
    p: Vectors
    rz: Vectors
    restarts: int
    iterations: int
    residual: float
    errors: list[float] = field(default_factory=list)


CG_ARRAYS = ("coef", "active", "r", "p", "rz")


def pcg(
    matmul: Callable[[Vectors], Vectors],
    Y: Vectors,
    precondition: Callable[[Vectors], Vectors],
    *,
    tol: float,
    start: Vectors | None = None,
    row_weights: Vectors | None = None,
    max_iterations: int = MAX_ITERATIONS,
    on_residual: Callable[[float], None] | None = None,
    resume_from: CgState | None = None,
    on_step: Callable[[CgState], bool] | None = None,
) -> Solution:
    """Solve ``A coef = Y`` for a symmetric positive definite A.

    Each output has its own CG; they share the products. An output that has converged leaves them.
    Convergence is on the true residual: when CG's own one is small enough the true one is computed,
    and if that is not, CG starts again from it.

    Parameters
    ----------
    matmul : callable
        (n, a) -> (n, a), the product with A.
    Y : ndarray of shape (n, c)
    precondition : callable
        (n, a) -> (n, a), an approximate inverse of A, symmetric positive definite.
    tol : float
        Relative residual of every output.
    start : ndarray of shape (n, c), optional
        Coefficients to start from; those of an output whose residual is then above that of none
        are not.
    row_weights : ndarray of shape (n,), optional
        Of the rows in the squared norms of residuals and of `Y`; None: 1.
    resume_from : CgState, optional
        What `on_step` was given by the same solve; `start` does not matter then. Its arrays are
        overwritten.
    on_step : callable, optional
        Is called after each step after which CG would go on; True ends it there. What it keeps of
        the state it must copy.
    """
    xp = namespace(Y)
    sizes = _norms(Y, row_weights)
    scale = xp.where(sizes > 0, sizes, 1.0)
    system = _System(matmul, precondition, scale, tol, row_weights, max_iterations)
    if resume_from is None:
        coef = xp.zeros(Y.shape) if start is None else xp.where(sizes > 0, start, 0.0)
        coef = xp.ascontiguousarray(coef)
        R = Y - matmul(coef) if coef.any() else Y.copy()
        # Coefficients of another metric may be worse than none. Steps to 1e-2 from residuals of 17,
        # 30 (20,000 x 32 made up) and 23 (12,000 of kin40k), from there / from none: 16 / 13,
        # 20 / 16, 17 / 11; from one of 0.5, 10 / 11.
        worse = _norms(R, row_weights) > sizes
        coef, R = xp.where(worse, 0.0, coef), xp.where(worse, Y, R)
        state = system.begin(coef, R)
        del R
    else:
        state = resume_from
    stopped = False
    while state.restarts < MAX_RESTARTS:
        if state.residual <= tol or state.iterations >= max_iterations:
            break
        stopped = system.run(state, on_residual, on_step)
        before, state = state, system.begin(state.coef, Y - matmul(state.coef))
        state.restarts, state.iterations = before.restarts + 1, before.iterations
        state.errors = before.errors
        if stopped or state.residual > before.residual / 2:
            break
    return Solution(state.coef, state.residual, state.iterations, stopped)


@dataclass(frozen=True)
class _System:
    """What stays the same from step to step."""

    matmul: Callable[[Vectors], Vectors]
    precondition: Callable[[Vectors], Vectors]
    scale: Vectors
    tol: float
    row_weights: Vectors | None
    max_iterations: int

    def begin(self, coef: Vectors, R: Vectors) -> CgState:
        """Return the state before a first step, from the true residuals R (n, c)."""
        xp = namespace(R)
        sizes = _norms(R, self.row_weights)
        residual = float((sizes / self.scale).max())
        active = xp.flatnonzero(sizes > self.tol * self.scale)
        nothing = R[:, :0].copy()  # until `run` has applied the preconditioner
        return CgState(coef, active, _columns(R, active), nothing, nothing[0], 0, 0, residual)

    def run(
        self,
        state: CgState,
        on_residual: Callable[[float], None] | None,
        on_step: Callable[[CgState], bool] | None,
    ) -> bool:
        """Step until CG's own residuals are small, or steps used up; True if `on_step` says so."""
        xp = namespace(state.r)
        # What is going on is decided on the host, of one small array an iteration.
        chosen = to_host(state.active)
        bounds, scale = to_host(self.tol * self.scale), to_host(self.scale)
        if not state.p.size:
            state.p = self.precondition(state.r).copy()
            state.rz = _dots(state.r, state.p)
        while state.iterations < self.max_iterations:
            q = self.matmul(state.p)
            curvature = _dots(state.p, q)
            # A direction without positive curvature is one of rounding: that output is done.
            usable = (curvature > 0) & (state.rz > 0)
            step = xp.where(usable, state.rz / xp.where(usable, curvature, 1.0), 0.0)
            state.coef[:, state.active] += step * state.p
            state.r -= step * q
            state.iterations += 1
            norms = _norms(state.r, self.row_weights)
            sizes, was_usable = to_host(xp.stack([norms, usable.astype(np.float64)]))
            if on_residual is not None:
                on_residual(float((sizes / scale[chosen]).max()))
            going = (was_usable > 0) & (sizes > bounds[chosen])
            if not going.any():
                return False
            if not going.all():
                left = xp.asarray(np.flatnonzero(going))
                chosen, state.active, state.rz = chosen[going], state.active[left], state.rz[left]
                state.r, state.p = _columns(state.r, left), _columns(state.p, left)
            z = self.precondition(state.r)
            rz, last = _dots(state.r, z), state.rz
            state.rz, state.p = rz, z + (rz / last) * state.p
            if state.iterations < self.max_iterations and on_step is not None and on_step(state):
                return True
        return False


def _columns(A: Vectors, which: NDArray[Any]) -> Vectors:
    """Return some columns, in C order: sums over another order have other last bits."""
    columns: Vectors = namespace(A).ascontiguousarray(A[:, which])
    return columns


def _dots(A: Vectors, B: Vectors) -> Vectors:
    """Return the inner product of each column of A with that of B."""
    if is_on_device(A):  # CuPy's einsum would make a batch of 1 x 1 products of it
        dots: Vectors = (A * B).sum(axis=0)
        return dots
    return np.asarray(np.einsum("ij,ij->j", A, B))


def _norms(R: Vectors, row_weights: Vectors | None) -> Vectors:
    """Return the norm of each column."""
    xp = namespace(R)
    if row_weights is None:
        norms: Vectors = xp.linalg.norm(R, axis=0)
        return norms
    if is_on_device(R):
        weighted: Vectors = xp.sqrt((R * R * row_weights[:, None]).sum(axis=0))
        return weighted
    return np.asarray(np.sqrt(np.einsum("ij,ij,i->j", R, R, row_weights)))
