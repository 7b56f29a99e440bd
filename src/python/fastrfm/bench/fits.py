"""Whole fits: the rows that each contender gets, and the parameters of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.cases import ALPHA, Problem
from fastrfm.members import PAPERS

__all__ = ["FIXED", "hold_out", "rmse", "split_fit"]

Rows = tuple[NDArray[Any], NDArray[Any]]

# Radhakrishnan et al. 2024 for tables, and what xRFM 0.4 does when it is told nothing.
FIXED: dict[str, Any] = PAPERS | {"alpha": ALPHA}
# Of the training rows, for those who cannot choose an iteration without.
HELD_OUT = 0.2


def split_fit(problem: Problem) -> tuple[Rows, Rows]:
    """Return (X, y) to train on and to score."""
    n = problem.case.n
    X, y = problem.Z, problem.V[:, 0]
    return (X[:n], y[:n]), (X[n:], y[n:])


def hold_out(rows: Rows) -> tuple[Rows, Rows]:
    """Return the first rows (they are in random order) and a fifth to choose the iteration by."""
    X, y = rows
    n = round(len(X) * (1 - HELD_OUT))
    return (X[:n], y[:n]), (X[n:], y[n:])


def rmse(problem: Problem, prediction: NDArray[Any]) -> float:
    """Return the test RMSE, in standard deviations of the training targets."""
    truth = split_fit(problem)[1][1].astype(np.float64)
    errors = np.asarray(prediction, np.float64).reshape(len(truth)) - truth
    return float(np.sqrt(np.mean(errors**2)))
