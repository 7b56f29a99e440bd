"""Check a contender's result on a sub-block, in float64 and by explicit differences.

Benchmarks assert what they time. The whole result would cost more than the benchmark, so some rows
are drawn and the formulas evaluated there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.cases import ALPHA, Problem

__all__ = ["WrongResultError", "check", "limit_of"]

Array = NDArray[Any]

ROWS = 24
SAME_POINT = 1e-10  # in bandwidths, as in the package: such a pair has no gradient

# Largest errors, for us by our own contract. The others square and subtract in float32, which
# their users accept; they are shown with the error that they have.
LIMITS = {
    "kernel_matrix": 1e-5,
    "kernel_matmul": 1e-4,
    "agop": 1e-3,
    "solve_ridge": 1e-3,
}
PEER_LIMITS = {
    "kernel_matrix": 1e-2,
    "kernel_matmul": 1e-2,
    "agop": 2e-2,
    "solve_ridge": 5e-2,
}


class WrongResultError(Exception):
    """A result that is too far from the truth to be worth timing."""


def limit_of(op: str, *, ours: bool) -> float:
    """Return the largest error at which a result is still timed."""
    return (LIMITS if ours else PEER_LIMITS)[op]


def check(
    problem: Problem, result: Array, run_at: Callable[[Problem], Array], *, ours: bool
) -> float:
    """Return the error of a result, or raise.

    Parameters
    ----------
    problem : Problem
    result : ndarray
        Of the whole problem: K, K V, the AGOP or the dual coefficients.
    run_at : callable
        Runs the contender on another problem; an AGOP is a mean over all rows, so that it is
        held to the truth at fewer rows (against all centres).
    ours : bool
        Which limit holds.

    Returns
    -------
    error : float
        Absolute for K; relative to the largest entry for K V and the AGOP; the relative residual
        for a solve.

    Raises
    ------
    WrongResultError
    """
    op = problem.case.op
    n = len(problem.Z)
    rows = np.sort(np.random.default_rng(1).choice(n, min(ROWS, n), replace=False))
    points, centres = problem.Z[rows].astype(np.float64), problem.Z
    _check_shape(problem, result)
    if op == "kernel_matrix":
        block = _kernel(problem, points, centres[rows])
        error = np.abs(result[np.ix_(rows, rows)] - block).max()
    elif op == "kernel_matmul":
        truth = _kernel(problem, points, centres) @ problem.V.astype(np.float64)
        error = np.abs(result[rows] - truth).max() / np.abs(truth).max()
    elif op == "agop":
        truth = _agop(problem, points)
        error = np.abs(run_at(problem.at_rows(rows)) - truth).max() / np.abs(truth).max()
    else:
        coef = result.astype(np.float64)
        Y = problem.V[rows].astype(np.float64)
        residual = _kernel(problem, points, centres) @ coef + ALPHA * coef[rows] - Y
        error = np.linalg.norm(residual) / np.linalg.norm(Y)
    limit = limit_of(op, ours=ours)
    if not error <= limit:
        raise WrongResultError(f"wrong: error {error:.1e}, allowed {limit:.0e}")
    return float(error)


def _check_shape(problem: Problem, result: Array) -> None:
    n, d, c = problem.case.n, problem.case.d, problem.case.c
    shapes = {
        "kernel_matrix": (n, n),
        "kernel_matmul": (n, c),
        "agop": (d, d),
        "solve_ridge": (n, c),
    }
    shape = shapes[problem.case.op]
    if result.shape != shape:
        raise WrongResultError(f"wrong: a result of shape {result.shape}, not {shape}")


def _distances(problem: Problem, x: Array, Z: Array) -> tuple[Array, Array]:
    """Return ``x - z_j`` (n, d) and its p-norms (n,)."""
    U = x - Z
    p = problem.case.norm
    return U, (np.abs(U) ** p).sum(axis=1) ** (1 / p)


def _kernel(problem: Problem, X: Array, Z: Array) -> Array:
    """Return ``K = exp(-(D / L)^q)``, one row at a time."""
    q, L = problem.case.exponent, problem.bandwidth
    return np.stack([np.exp(-((_distances(problem, x, Z)[1] / L) ** q)) for x in X])


def _agop(problem: Problem, X: Array) -> Array:
    """Return the mean over the rows of X of ``sum_l g_l g_l^T``.

    ``g_l = sum_j coef[j, l] w phi(x - z_j)``, ``w = -(q / L^q) K D^(q - p)``,
    ``phi(u) = sign(u) |u|^(p - 1)``.
    """
    p, q, L = problem.case.norm, problem.case.exponent, problem.bandwidth
    coef = problem.V.astype(np.float64)
    total = np.zeros((X.shape[1], X.shape[1]))
    for x in X:
        U, D = _distances(problem, x, problem.Z)
        apart = D > SAME_POINT * L
        U, D = U[apart], D[apart]
        w = -(q / L**q) * np.exp(-((D / L) ** q)) * D ** (q - p)
        phi = U if p == 2 else np.sign(U) * np.abs(U) ** (p - 1)
        g = (coef[apart] * w[:, None]).T @ phi
        total += g.T @ g
    return total / len(X)
