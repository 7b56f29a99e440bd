"""The package xrfm, with its own kernel classes, its own batch sizes and its own solver."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Any

import torch
from xrfm import xRFM
from xrfm.rfm_src import RFM, kernels

from fastrfm.bench.cases import ALPHA, Case, Problem
from fastrfm.bench.contenders.result import Run
from fastrfm.bench.contenders.textbook_torch import sgemm
from fastrfm.bench.fits import hold_out, split_fit

__all__ = ["prepare", "sgemm", "supports", "version"]


def version() -> str:
    """Return the name and version of what is measured."""
    return f"xrfm {installed_version('xrfm')} on torch {torch.__version__}"


def supports(case: Case) -> bool:
    """Return whether there is such an operation."""
    return case.norm == 2 or case.exponent == case.norm


def prepare(problem: Problem) -> Run:
    """Return what is timed."""
    if problem.case.is_fit:
        return Run(lambda: _fit(problem))
    X, Z, V = (torch.from_numpy(array) for array in (problem.X, problem.Z, problem.V))
    kind = kernels.LaplaceKernel if problem.case.norm == 2 else kernels.ProductLaplaceKernel
    kernel = kind(bandwidth=problem.bandwidth, exponent=problem.case.exponent)
    model = RFM(kernel, device="cpu", verbose=False)
    model.reg = ALPHA
    calls = {
        "kernel_matrix": lambda: kernel.get_kernel_matrix(X, Z),
        "kernel_matmul": lambda: kernel.get_kernel_matrix(X, Z) @ V,
        "agop": lambda: _agop(model, X, Z, V),
        "solve_ridge": lambda: model.fit_predictor_lstsq(X, V),
    }
    return Run(calls[problem.case.op], lambda result: result.numpy())


def _agop(model: Any, X: Any, Z: Any, coef: Any) -> Any:
    """Return the mean AGOP, in the batches that xrfm's `fit_M` takes."""
    batch = model._compute_optimal_M_batch(len(X), coef.shape[1], X.shape[1])
    total = torch.zeros(X.shape[1], X.shape[1])
    for rows in torch.arange(len(X)).split(batch):
        total.add_(model.kernel_obj.get_agop(x=Z, z=X[rows], coefs=coef.T, mat=None))
    return total / len(X)


def _fit(problem: Problem) -> Any:
    """Return the prediction of a fit with nothing chosen; it needs validation data."""
    train, (X_test, _) = split_fit(problem)
    (X, y), (X_val, y_val) = hold_out(train)
    model = xRFM(device=torch.device("cpu"), verbose=False, random_state=0)
    model.fit(X, y[:, None], X_val, y_val[:, None])
    return model.predict(X_test)
