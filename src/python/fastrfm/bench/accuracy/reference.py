"""The RFM of Radhakrishnan et al. 2024, tuned as its authors tuned it on 121 UCI sets.

Their ``tabular_benchmark_experiments``: Laplace kernel of bandwidth 10 on the collection's columns
as they are, up to 5 solves of which each but the first takes the AGOP of the one before as its
metric, ridges from 10 to 1e-3, rows scaled to length 1 or not. The metric, the ridge and the
scaling that are best on the collection's tuning rows are kept for its 4 folds. Built from fastrfm's
public functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrfm
from fastrfm.bench.accuracy.contenders import Fitted
from fastrfm.bench.accuracy.data import Rows, Split
from fastrfm.bench.accuracy.kernel_ridge import KernelRidge

__all__ = ["Choice", "choose", "fitter"]

Array = NDArray[Any]

BANDWIDTH = 10.0
SOLVES = 5
ALPHAS = (10.0, 1.0, 0.1, 1e-2, 1e-3)


@dataclass(frozen=True)
class Choice:
    """What is best on the tuning rows, the first of equals."""

    accuracy: float
    alpha: float
    unit_rows: bool
    iteration: int
    metric: Array | None


def choose(tuning: Split) -> Choice:
    """Return the best of 50 models, fitted to the training rows and scored on the others."""
    best: Choice | None = None
    for alpha, unit_rows in product(ALPHAS, (True, False)):
        metric = None
        for iteration in range(SOLVES):
            model = _solve(tuning.train, tuning.n_classes, alpha, unit_rows, metric)
            predicted = _predict(model, tuning.test.X, unit_rows).argmax(axis=1)
            accuracy = float(np.mean(predicted == tuning.test.y))
            if best is None or accuracy > best.accuracy:
                best = Choice(accuracy, alpha, unit_rows, iteration, metric)
            if iteration == SOLVES - 1:
                break
            G = fastrfm.agop(model.X, model.X, model.coef, metric=metric, bandwidth=BANDWIDTH)
            if not G.any():
                break
            # As the authors' package does; the script of these experiments did not divide. On the
            # 35 sets of at most 1,100 rows the mean accuracy is 84.04% with it, 83.72% without.
            metric = G / G.max()
    assert best is not None
    return best


def fitter(choice: Choice) -> Callable[[Split], Fitted]:
    """Return what fits the rows of a fold with what was chosen."""
    chosen = {key: value for key, value in vars(choice).items() if key != "metric"}

    def fit(split: Split) -> Fitted:
        model = _solve(split.train, split.n_classes, choice.alpha, choice.unit_rows, choice.metric)
        return Fitted(lambda X: _predict(model, X, choice.unit_rows), chosen)

    return fit


def _solve(
    rows: Rows, n_classes: int, alpha: float, unit_rows: bool, metric: Array | None
) -> KernelRidge:
    X = _scaled(rows.X, unit_rows)
    Y = np.eye(n_classes, dtype=np.float32)[rows.y]
    coef = fastrfm.solve_ridge(X, Y, alpha=alpha, bandwidth=BANDWIDTH, metric=metric)
    return KernelRidge(X, coef, np.zeros(n_classes), BANDWIDTH, alpha, True, metric)


def _predict(model: KernelRidge, X: Array, unit_rows: bool) -> Array:
    return model.predict(_scaled(X, unit_rows))


def _scaled(X: Array, unit_rows: bool) -> Array:
    if not unit_rows:
        return X
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(lengths > 0, lengths, 1)
