"""PyKeOps, which compiles a kernel matvec for each formula and dimension."""

from __future__ import annotations

import os
from importlib.metadata import version as installed_version

from fastrfm.bench.contenders.keops_build import build_folder, building

os.environ["KEOPS_CACHE_FOLDER"] = str(build_folder())  # read when PyKeOps is imported

import torch
from pykeops.torch import LazyTensor

from fastrfm.bench.cases import Case, Problem
from fastrfm.bench.contenders.result import Run
from fastrfm.bench.contenders.textbook_torch import sgemm

__all__ = ["prepare", "sgemm", "supports", "version"]


def version() -> str:
    """Return the name and version of what is measured."""
    return f"pykeops {installed_version('pykeops')} on torch {torch.__version__}"


def supports(case: Case) -> bool:
    """Return whether there is such an operation."""
    return case.op == "kernel_matmul" and case.exponent == 1


def prepare(problem: Problem) -> Run:
    """Build what the formula needs, and return what is timed."""
    X, Z, V = (torch.from_numpy(array) for array in (problem.X, problem.Z, problem.V))

    def matmul(X: torch.Tensor) -> object:
        difference = LazyTensor(X[:, None, :]) - LazyTensor(Z[None, :, :])
        if problem.case.norm == 2:
            D = (difference**2).sum(-1).sqrt()
        else:
            D = difference.abs().sum(-1)
        return (-D / problem.bandwidth).exp() @ V

    few = slice(0, min(len(X), 10))
    with building():
        matmul(X[few])
    return Run(lambda: matmul(X), lambda result: result.numpy())
