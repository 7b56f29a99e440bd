"""Repeated cross-validation of four models on the same folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline

from fastrfm.demo.data import DataSet
from fastrfm.estimators import RFMClassifier, RFMRegressor
from fastrfm.members import PAPERS

RFM = "RFM"
ONE_RFM = "one RFM, as in the papers"
KERNEL_RIDGE = "Laplace kernel ridge"
BOOSTING = "HistGradientBoosting"
MODELS = (RFM, ONE_RFM, KERNEL_RIDGE, BOOSTING)


@dataclass
class Result:
    """Scores (accuracy or R2) and seconds of one model over all folds of all repeats."""

    scores: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def rfm(data: DataSet, **parameters: Any) -> RFMRegressor | RFMClassifier:
    """Return an unfitted RFM for the task: the library's defaults but for `parameters`."""
    estimator = RFMRegressor if data.is_regression else RFMClassifier
    return estimator(random_state=0, **parameters)


def models(data: DataSet, alpha: float) -> dict[str, Any]:
    """Return the models to compare; the second and the third differ only in metric updates."""
    papers = PAPERS | {"alpha": alpha}
    boosting = (
        HistGradientBoostingRegressor if data.is_regression else HistGradientBoostingClassifier
    )
    return {
        RFM: rfm(data),
        ONE_RFM: rfm(data, **papers),
        KERNEL_RIDGE: rfm(data, **papers | {"n_iter": 0}),
        BOOSTING: boosting(random_state=0),
    }


def splits(
    data: DataSet, *, folds: int, repeats: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the training and test rows of each fold; classes keep their shares."""
    kind = RepeatedKFold if data.is_regression else RepeatedStratifiedKFold
    yield from kind(n_splits=folds, n_repeats=repeats, random_state=0).split(data.X, data.y)


def take(X: Any, rows: NDArray[np.intp]) -> Any:
    """Return rows of an array or of a DataFrame."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def compare(
    data: DataSet,
    *,
    alpha: float,
    folds: int,
    repeats: int,
    advance: Callable[[], None],
) -> dict[str, Result]:
    """Fit and score each model on each fold; `advance` is called after each fit."""
    candidates = models(data, alpha)
    results = {name: Result() for name in candidates}
    for train, test in splits(data, folds=folds, repeats=repeats):
        for name, model in candidates.items():
            fitted = clone(model)
            if data.preprocessing is not None:
                fitted = make_pipeline(clone(data.preprocessing), fitted)
            start = perf_counter()
            fitted.fit(take(data.X, train), data.y[train])
            results[name].seconds.append(perf_counter() - start)
            results[name].scores.append(fitted.score(take(data.X, test), data.y[test]))
            advance()
    return results


def scores_by_iteration(
    data: DataSet, *, alpha: float, folds: int, advance: Callable[[], None]
) -> NDArray[np.float64]:
    """Score of each iteration on rows it has not seen, of shape (folds, iterations)."""
    rows = []
    for train, test in splits(data, folds=folds, repeats=1):
        X_train, X_test = take(data.X, train), take(data.X, test)
        if data.preprocessing is not None:
            preprocessing = clone(data.preprocessing).fit(X_train)
            X_train, X_test = preprocessing.transform(X_train), preprocessing.transform(X_test)
        y_train, y_test = data.y[train], data.y[test]
        model = rfm(data, **PAPERS | {"alpha": alpha}, early_stopping=False)
        model.fit(X_train, y_train, X_val=X_test, y_val=y_test)
        errors = np.array([entry["score"] for entry in model.history_])
        # Where nothing is left to learn the recursion ends; its last predictor stands.
        errors = np.pad(errors, (0, PAPERS["n_iter"] + 1 - len(errors)), mode="edge")
        # A regression's errors are in units of the training targets' variance.
        unit = np.var(y_train) / np.var(y_test) if data.is_regression else 1.0
        rows.append(1.0 - errors * unit)
        advance()
    return np.array(rows)


def fit_all(data: DataSet, *, alpha: float) -> RFMRegressor | RFMClassifier:
    """Fit one RFM to all rows, to look at what it learned."""
    X = data.X if data.preprocessing is None else data.preprocessing.fit_transform(data.X)
    model = rfm(data, **PAPERS | {"alpha": alpha})
    model.fit(X, data.y)
    return model
