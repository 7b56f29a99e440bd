"""The demonstration's data: real sets that ship inside scikit-learn, or the user's own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from fastrfm.table_files import DataError, is_measured, is_number, read_table

if TYPE_CHECKING:
    import pandas as pd

# Rows kept of the user's file, so that the demonstration takes minutes: the models are fitted
# some forty times, and kernel ridge costs the cube of the rows.
MAX_ROWS = 4_000

# Levels of a column of text that get a column of their own; the rarest share one.
MAX_LEVELS = 50


@dataclass(frozen=True)
class DataSet:
    """One task.

    Attributes
    ----------
    name : str
    X : ndarray or DataFrame of shape (n, d)
    y : ndarray of shape (n,)
    is_regression : bool
    feature_names : sequence of str
        Of the columns that the models see, after `preprocessing`.
    preprocessing : transformer or None
        Same for all models; fitted anew on each training part.
    image_shape : (int, int) or None
        Where the features are pixels.
    notes : list of str
        What was done to the user's data.
    """

    name: str
    X: Any
    y: NDArray[Any]
    is_regression: bool
    feature_names: list[str]
    preprocessing: Any = None
    image_shape: tuple[int, int] | None = None
    notes: list[str] = field(default_factory=list)


def bundled_sets() -> list[DataSet]:
    """Return digits, breast cancer, diabetes and wine."""
    digits = _bundled("digits", load_digits, is_regression=False, image_shape=(8, 8))
    return [
        digits,
        _bundled("breast cancer", load_breast_cancer, is_regression=False),
        _bundled("diabetes", load_diabetes, is_regression=True),
        _bundled("wine", load_wine, is_regression=False),
    ]


def _bundled(
    name: str,
    load: Callable[[], Any],
    *,
    is_regression: bool,
    image_shape: tuple[int, int] | None = None,
) -> DataSet:
    bunch = load()
    names = [str(feature) for feature in bunch.feature_names]
    X = bunch.data.astype(np.float32)
    return DataSet(name, X, bunch.target, is_regression, names, image_shape=image_shape)


def read_file(path: Path, target: str, *, folds: int) -> DataSet:
    """Read a table and make a task of it.

    The target is a regression's where it is a number with many values or with fractions, else it
    is a class.
    Numbers are imputed by the median, all other columns are one-hot encoded.

    Raises
    ------
    DataError
        If the file or its target cannot be used.
    """
    table, notes = _readable(read_table(path), target)
    if len(table) < 2 * folds:
        raise DataError(f"{path} has {len(table)} usable rows; {folds} folds need {2 * folds}")
    is_regression = is_measured(table[target])
    if not is_regression:
        counts = table[target].value_counts()
        rare = counts.index[counts < folds]
        if len(rare):
            notes.append(f"classes left out for having fewer than {folds} rows: {len(rare)}")
            table = table[~table[target].isin(rare)]
        if table[target].nunique() < 2:
            raise DataError(f"{target!r} has fewer than two classes with {folds} rows each")
    if len(table) < 2 * folds:
        raise DataError(f"{path} has {len(table)} usable rows; {folds} folds need {2 * folds}")
    X, preprocessing = _columns(table.drop(columns=target))
    y = table[target].to_numpy(dtype=np.float64 if is_regression else str)
    preprocessing.fit(X)
    try:
        names = preprocessing.get_feature_names_out()
    except ValueError:  # a level and a column that make the same name
        preprocessing.verbose_feature_names_out = True
        names = preprocessing.get_feature_names_out()
    return DataSet(
        path.stem, X, y, is_regression, list(map(str, names)), preprocessing, notes=notes
    )


def _readable(table: pd.DataFrame, target: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows to use, and notes on those left out."""
    if target not in table.columns:
        columns = ", ".join(map(str, table.columns))
        raise DataError(f"there is no column {target!r}; the columns are: {columns}")
    if table.shape[1] < 2:
        raise DataError(f"there is no column beside the target {target!r}")
    notes = []
    known = table[table[target].notna()]
    if is_number(known[target]):
        known = known[np.isfinite(known[target].to_numpy(dtype=np.float64))]
    if len(known) < len(table):
        notes.append(f"rows left out for want of a target: {len(table) - len(known):,}")
    if len(known) > MAX_ROWS:
        notes.append(f"took {MAX_ROWS:,} of {len(known):,} rows, drawn at random")
        known = known.sample(MAX_ROWS, random_state=0)
    return known, notes


def _columns(X: pd.DataFrame) -> tuple[pd.DataFrame, ColumnTransformer]:
    """Return the features as floats and text, and what turns them into numbers."""
    numbers = [name for name in X.columns if is_number(X[name])]
    text = [name for name in X.columns if name not in numbers]
    floats = X[numbers].astype(np.float64).replace([np.inf, -np.inf], np.nan)
    strings = X[text].astype(str).where(X[text].notna(), "missing")
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MAX_LEVELS, sparse_output=False
    )
    preprocessing = ColumnTransformer(
        [
            ("number", SimpleImputer(strategy="median", keep_empty_features=True), numbers),
            ("text", one_hot, text),
        ],
        sparse_threshold=0.0,
        verbose_feature_names_out=False,
    )
    return floats.join(strings), preprocessing
