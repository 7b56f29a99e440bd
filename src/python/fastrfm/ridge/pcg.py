"""Preconditioned conjugate gradients for ``(K + alpha I) coef = Y``, all outputs at once.

Vectors are NumPy's or CuPy's: all of one call of one namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.arrays import is_on_device, namespace, to_host

__all__ = ["Solution", "pcg"]

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
    """

    coef: Vectors
    residual: float
    iterations: int


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
        Coefficients to start from.
    row_weights : ndarray of shape (n,), optional
        Of the rows in the squared norms of residuals and of `Y`; None: 1.
    """
    xp = namespace(Y)
    sizes = _norms(Y, row_weights)
    scale = xp.where(sizes > 0, sizes, 1.0)
    coef = xp.zeros_like(Y) if start is None else xp.where(sizes > 0, start, 0.0)
    R = Y - matmul(coef) if coef.any() else Y.copy()
    iterations = 0
    residual = float((_norms(R, row_weights) / scale).max())
    for _ in range(MAX_RESTARTS):
        if residual <= tol or iterations >= max_iterations:
            break
        left = max_iterations - iterations
        iterations += _run(
            matmul, precondition, coef, R, scale, tol, row_weights, left, on_residual
        )
        R = Y - matmul(coef)
        before, residual = residual, float((_norms(R, row_weights) / scale).max())
        if residual > before / 2:
            break
    return Solution(coef, residual, iterations)


def _run(
    matmul: Callable[[Vectors], Vectors],
    precondition: Callable[[Vectors], Vectors],
    coef: Vectors,
    R: Vectors,
    scale: Vectors,
    tol: float,
    row_weights: Vectors | None,
    max_iterations: int,
    on_residual: Callable[[float], None] | None,
) -> int:
    """CG on the outputs whose residual exceeds `tol`, updating `coef` in place; its length."""
    xp = namespace(R)
    # What is going on is decided on the host, of one small array an iteration.
    bounds = to_host(tol * scale)
    sizes_of = to_host(scale)
    chosen = np.flatnonzero(to_host(_norms(R, row_weights)) > bounds)
    active = xp.asarray(chosen)
    r = R[:, active]
    z = precondition(r)
    p = z.copy()
    rz = _dots(r, z)
    for iteration in range(1, max_iterations + 1):
        q = matmul(p)
        curvature = _dots(p, q)
        # A direction without positive curvature is one of rounding: that output is done.
        usable = (curvature > 0) & (rz > 0)
        step = xp.where(usable, rz / xp.where(usable, curvature, 1.0), 0.0)
        coef[:, active] += step * p
        r -= step * q
        sizes, was_usable = to_host(xp.stack([_norms(r, row_weights), usable.astype(np.float64)]))
        if on_residual is not None:
            on_residual(float((sizes / sizes_of[chosen]).max()))
        going = (was_usable > 0) & (sizes > bounds[chosen])
        if not going.any():
            return iteration
        if not going.all():
            left = xp.asarray(np.flatnonzero(going))
            chosen, active = chosen[going], active[left]
            r, p, rz = r[:, left], p[:, left], rz[left]
        z = precondition(r)
        rz, last = _dots(r, z), rz
        p = z + (rz / last) * p
    return max_iterations


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
