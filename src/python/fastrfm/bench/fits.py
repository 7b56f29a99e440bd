"""Whole fits: the rows that each contender gets, and the parameters of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.cases import ALPHA, EXTRA_FIT_ROWS, Problem

__all__ = ["FIXED", "rmse", "split_fit"]

Rows = tuple[NDArray[Any], NDArray[Any]]

# Radhakrishnan et al. 2024 for tables, and what xRFM 0.4 does when it is told nothing.
FIXED: dict[str, Any] = {
    "norm": 2.0,
    "exponent": 1.0,
    "bandwidth": 10.0,
    "alpha": ALPHA,
    "n_iter": 5,
}


def split_fit(problem: Problem) -> tuple[Rows, Rows, Rows]:
    """Return (X, y) to train on, to choose the iteration by, and to score."""
    n, half = problem.case.n, problem.case.n + EXTRA_FIT_ROWS // 2
    X, y = problem.Z, problem.V[:, 0]
    return (X[:n], y[:n]), (X[n:half], y[n:half]), (X[half:], y[half:])


def rmse(problem: Problem, prediction: NDArray[Any]) -> float:
    """Return the test RMSE in standard deviations of the target."""
    truth = split_fit(problem)[2][1].astype(np.float64)
    errors = np.asarray(prediction, np.float64).reshape(len(truth)) - truth
    return float(np.sqrt(np.mean(errors**2)) / truth.std())
