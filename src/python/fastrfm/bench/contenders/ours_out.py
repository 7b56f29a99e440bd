"""fastrfm writing K into an array that is already there.

A fresh array costs the system one page fault for every 4 KiB, which is no kernel's work; the
difference between this and "fastrfm" shows how much.
"""

from __future__ import annotations

import numpy as np

import fastrfm
from fastrfm.bench.cases import Case, Problem
from fastrfm.bench.contenders.ours import sgemm, version
from fastrfm.bench.contenders.result import Run

__all__ = ["prepare", "sgemm", "supports", "version"]


def supports(case: Case) -> bool:
    """Return whether there is such an operation."""
    return case.op == "kernel_matrix" and not case.sweep


def prepare(problem: Problem) -> Run:
    """Return what is timed."""
    X, kernel = problem.X, problem.kernel
    out = np.zeros((len(X), len(X)), np.float32)
    out.fill(1)  # zeros alone would leave the pages to the first run
    return Run(lambda: fastrfm.kernel_matrix(X, out=out, **kernel))
