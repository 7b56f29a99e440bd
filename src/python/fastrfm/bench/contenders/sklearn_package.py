"""scikit-learn, where it has the operation."""

from __future__ import annotations

from typing import Any

import sklearn
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import laplacian_kernel, rbf_kernel

from fastrfm.bench.cases import ALPHA, Case, Problem
from fastrfm.bench.contenders.ours import sgemm
from fastrfm.bench.contenders.result import Run

__all__ = ["prepare", "sgemm", "supports", "version"]


def version() -> str:
    """Return the name and version of what is measured."""
    return f"scikit-learn {sklearn.__version__}"


def supports(case: Case) -> bool:
    """Return whether there is such an operation: exp(-gamma D_1) or exp(-gamma D_2^2)."""
    return case.op in ("kernel_matrix", "solve_ridge") and case.exponent == case.norm


def prepare(problem: Problem) -> Run:
    """Return what is timed."""
    X, Y = problem.X, problem.V
    gamma = problem.bandwidth**-problem.case.exponent
    name, function = (
        ("laplacian", laplacian_kernel) if problem.case.norm == 1 else ("rbf", rbf_kernel)
    )
    if problem.case.op == "kernel_matrix":
        return Run(lambda: function(X, gamma=gamma))

    def solve() -> Any:
        return KernelRidge(alpha=ALPHA, kernel=name, gamma=gamma).fit(X, Y).dual_coef_

    return Run(solve)
