"""The same rows in the form that each package asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

__all__ = [
    "as_catboost_wants",
    "as_fastrfm_wants",
    "as_lightgbm_wants",
    "make_one_hot",
    "one_hot_blocks",
]

Array = NDArray[Any]

MISSING = "missing"


def as_fastrfm_wants(X: Array, categorical: Array) -> Callable[[Array], Any]:
    """Return what turns rows into what RFMRegressor and RFMClassifier are given.

    That is a data frame with categorical columns and missing values.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        The training rows: they say which levels there are, and the medians.
    categorical : ndarray of shape (d,)
        bool.
    """
    levels = {j: _levels(X[:, j]) for j in np.flatnonzero(categorical)}
    return lambda rows: _frame_with_categories(rows, levels)


def make_one_hot(categorical: Array, *, standardize: bool) -> ColumnTransformer:
    """Return a transformer to numbers, imputed by the median, before one-hot categories.

    Parameters
    ----------
    categorical : ndarray of shape (d,)
        bool.
    standardize : bool
        Give the numbers mean 0 and deviation 1. One-hot columns keep 0 and 1.
    """
    steps = [SimpleImputer(strategy="median", keep_empty_features=True)]
    if standardize:
        steps.append(StandardScaler())
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(*steps), np.flatnonzero(~categorical)),
            ("categories", encoder, np.flatnonzero(categorical)),
        ]
    )


def one_hot_blocks(one_hot: ColumnTransformer, categorical: Array) -> tuple[int, list[int]]:
    """Return how many numbers a fitted transformer puts first, and the levels of each category."""
    n_numbers = int(np.count_nonzero(~categorical))
    if n_numbers == len(categorical):
        return n_numbers, []
    return n_numbers, [len(each) for each in one_hot.named_transformers_["categories"].categories_]


def as_lightgbm_wants(X: Array, categorical: Array) -> tuple[Array, dict[str, Any]]:
    """Return the rows, codes and NaN as they are, and which columns `fit` is told hold codes."""
    columns = np.flatnonzero(categorical).tolist()
    return X, {"categorical_feature": columns} if columns else {}


def as_catboost_wants(X: Array, categorical: Array) -> Any:
    """Return a frame of numbers, NaN as they are, and strings for categories.

    A missing category is one more level: CatBoost refuses NaN there.
    """
    import pandas as pd

    def column(j: int) -> Any:
        if not categorical[j]:
            return X[:, j]
        return np.array(
            [MISSING if level is None else level for level in _strings(X[:, j])], object
        )

    return pd.DataFrame({f"x{j}": column(j) for j in range(X.shape[1])})


def _frame_with_categories(X: Array, levels: dict[Any, list[str]]) -> Any:
    import pandas as pd

    def column(j: int) -> Any:
        if j not in levels:
            return X[:, j]
        new = sorted(set(_levels(X[:, j])) - set(levels[j]))  # a later row may bring one
        return pd.Categorical(_strings(X[:, j]), categories=levels[j] + new)

    return pd.DataFrame({f"x{j}": column(j) for j in range(X.shape[1])})


def _strings(column: Array) -> list[str | None]:
    return [None if np.isnan(code) else str(int(code)) for code in column]


def _levels(column: Array) -> list[str]:
    return [str(int(code)) for code in np.unique(column[~np.isnan(column)])]
