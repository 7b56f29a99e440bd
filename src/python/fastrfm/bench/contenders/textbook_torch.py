"""A Recursive Feature Machine in plain PyTorch, as the papers write it down.

Every formula is one line on whole arrays: K from `torch.cdist`, gradients of all outputs as an
(n, c, d) tensor, an LU solve. Rows are taken in batches only where an intermediate would not fit.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from fastrfm.bench.cases import ALPHA, Case, Problem
from fastrfm.bench.contenders.result import Run
from fastrfm.bench.fits import FIXED, hold_out, split_fit

# The differences of p = 1 are a (rows, n, d) tensor: rows so that it has this many entries.
DIFFERENCES = 2**25
# Of a whole fit: six LU factorisations of more rows take longer than anyone waits.
MOST_FIT_ROWS = 20_000


def version() -> str:
    """Return the name and version of what is measured."""
    return f"torch {torch.__version__}"


def supports(case: Case) -> bool:
    """Return whether there is such an operation."""
    return not case.is_fit or case.n <= MOST_FIT_ROWS


def prepare(problem: Problem) -> Run:
    """Return what is timed."""
    X, Z, V = (torch.from_numpy(array) for array in (problem.X, problem.Z, problem.V))
    kernel = problem.kernel

    def solve() -> Any:
        return solve_ridge(X, V, ALPHA, kernel)

    calls = {
        "kernel_matrix": lambda: kernel_matrix(X, Z, kernel),
        "kernel_matmul": lambda: kernel_matrix(X, Z, kernel) @ V,
        "agop": lambda: agop(X, Z, V, kernel),
        "solve_ridge": solve,
        "fit_fixed": lambda: fit(problem),
    }
    return Run(calls[problem.case.op], lambda result: result.numpy())


def kernel_matrix(X: Any, Z: Any, kernel: dict[str, float]) -> Any:
    """Return ``exp(-(||x - z||_p / L)^q)``, (n, m)."""
    D = torch.cdist(X, Z, p=kernel["norm"])
    return torch.exp(-((D / kernel["bandwidth"]) ** kernel["exponent"]))


def solve_ridge(X: Any, Y: Any, alpha: float, kernel: dict[str, float]) -> Any:
    """Return the dual coefficients (n, c)."""
    K = kernel_matrix(X, X, kernel)
    K.diagonal().add_(alpha)
    return torch.linalg.solve(K, Y)


def gradients(X: Any, Z: Any, coef: Any, kernel: dict[str, float]) -> Any:
    """Return the gradients (m, c, d) at the rows of X."""
    p, q, L = kernel["norm"], kernel["exponent"], kernel["bandwidth"]
    D = torch.cdist(X, Z, p=p)
    K = torch.exp(-((D / L) ** q))
    w = torch.where(D > 1e-10, -(q / L**q) * K * D ** (q - p), 0.0)
    (m, d), (n, c) = X.shape, coef.shape
    if p == 2:
        weighted = (coef[:, :, None] * Z[:, None, :]).reshape(n, c * d)
        return (w @ coef)[:, :, None] * X[:, None, :] - (w @ weighted).reshape(m, c, d)
    step = max(1, DIFFERENCES // (n * d))
    parts = []
    for start in range(0, m, step):
        rows = slice(start, start + step)
        U = X[rows, None, :] - Z
        phi = torch.sign(U) * torch.abs(U) ** (p - 1) if p != 1 else torch.sign(U)
        parts.append(torch.einsum("nc,mn,mnd->mcd", coef, w[rows], phi))
    return torch.cat(parts)


def agop(X: Any, Z: Any, coef: Any, kernel: dict[str, float]) -> Any:
    """Return the average gradient outer product (d, d)."""
    g = gradients(X, Z, coef, kernel)
    G = g.reshape(-1, X.shape[1])
    return G.T @ G / len(X)


def fit(problem: Problem) -> Any:
    """Return the prediction of the best iteration: solve, AGOP, metric, and again."""
    train, test = split_fit(problem)
    (X, y), (X_val, y_val), (X_test, _) = (
        tuple(torch.from_numpy(array) for array in rows) for rows in (*hold_out(train), test)
    )
    kernel = {name: FIXED[name] for name in ("norm", "exponent", "bandwidth")}
    A = torch.eye(X.shape[1])
    best, prediction = float("inf"), None
    for iteration in range(FIXED["n_iter"] + 1):
        centres = X @ A
        coef = solve_ridge(centres, y[:, None], FIXED["alpha"], kernel)
        error = float(((kernel_matrix(X_val @ A, centres, kernel) @ coef)[:, 0] - y_val).var())
        if error < best:
            best, prediction = error, kernel_matrix(X_test @ A, centres, kernel) @ coef
        if iteration < FIXED["n_iter"]:
            G = A @ agop(centres, centres, coef, kernel) @ A.T
            values, vectors = torch.linalg.eigh(G / G.max())
            A = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return prediction


def sgemm(size: int) -> float:
    """Return the seconds of one float32 product of square matrices by PyTorch's BLAS."""
    A = torch.ones((size, size))
    out = torch.empty_like(A)
    start = time.perf_counter()
    torch.mm(A, A, out=out)
    return time.perf_counter() - start
