"""fastrfm, by its public functions, as its documentation says."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrfm
from fastrfm.bench.cases import ALPHA, Case, Problem
from fastrfm.bench.contenders.result import Run
from fastrfm.bench.fits import FIXED, split_fit


def version() -> str:
    """Return the name and version of what is measured."""
    return f"fastrfm {fastrfm.__version__}"


def supports(case: Case) -> bool:
    """Return whether there is such an operation."""
    return True


def prepare(problem: Problem) -> Run:
    """Return what is timed; NumPy arrays need no conversion."""
    X, Z, V, kernel = problem.X, problem.Z, problem.V, problem.kernel
    match problem.case.op:
        case "kernel_matrix":
            return Run(lambda: fastrfm.kernel_matrix(X, **kernel))
        case "kernel_matmul":
            return Run(lambda: fastrfm.kernel_matmul(X, Z, V, **kernel))
        case "agop":
            return Run(lambda: fastrfm.agop(X, Z, V, **kernel))
        case "solve_ridge":
            return Run(lambda: fastrfm.solve_ridge(X, V, alpha=ALPHA, **kernel))
    return Run(lambda: _fit(problem))


def _fit(problem: Problem) -> NDArray[Any]:
    """Return the prediction of a fit that chooses its iteration without validation data."""
    train, scored = split_fit(problem)
    model = fastrfm.RFMRegressor(**FIXED, random_state=0).fit(*train)
    return np.asarray(model.predict(scored[0]))


def sgemm(size: int) -> float:
    """Return the seconds of one float32 product of square matrices by NumPy's BLAS."""
    A = np.ones((size, size), np.float32)
    out = np.empty_like(A)
    start = time.perf_counter()
    np.matmul(A, A, out=out)
    return time.perf_counter() - start
