"""What is to be learned from a table: its rows, features, targets and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.table_files import MANY_VALUES, DataError, is_measured, is_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TASKS", "Task", "make_task"]

TASKS = ("auto", "regression", "classification")


@dataclass(frozen=True)
class Task:
    """A table made ready.

    Attributes
    ----------
    X : DataFrame of shape (n, d)
    y : ndarray of shape (n,)
        float64, or labels.
    weight : ndarray of shape (n,) or None
    is_regression : bool
    notes : tuple of str
        What was chosen or left out, and what looks wrong.
    """

    X: pd.DataFrame
    y: NDArray[Any]
    weight: NDArray[np.float64] | None
    is_regression: bool
    notes: tuple[str, ...]


def make_task(
    table: pd.DataFrame,
    target: str,
    *,
    kind: str = "auto",
    drop: Sequence[str] = (),
    weights: str | None = None,
) -> Task:
    """Take a table apart.

    Parameters
    ----------
    table : DataFrame
    target : str
        The column to predict. Rows without it are left out.
    kind : {"auto", "regression", "classification"}
        "auto": regression of numbers that have fractions or more than 20 different values.
    drop : sequence of str
        Columns that are no features; several in one string are separated by commas.
    weights : str, optional
        The column of sample weights.

    Raises
    ------
    DataError
        If a column is missing or unsuitable.
    """
    columns = list(table.columns)
    drop = [name for item in drop for name in ([item] if item in columns else item.split(","))]
    for name in (target, *drop, *([] if weights is None else [weights])):
        if name not in columns:
            raise DataError(
                f"there is no column {name!r}; the columns are: {', '.join(map(str, columns))}"
            )
    if target in drop or target == weights:
        raise DataError(f"the column {target!r} cannot be the target and something else as well")
    table = table.copy(deep=False)
    table[target] = _plain(table[target])
    known = table[target].notna().to_numpy()
    if is_number(table[target]):
        known = np.isfinite(table[target].to_numpy(dtype=np.float64, na_value=np.nan))
    notes = []
    if not known.all():
        notes.append(f"rows left out for want of {target!r}: {np.count_nonzero(~known):,}")
        table = table[known].reset_index(drop=True)
    if not len(table):
        raise DataError(f"no row has a value of {target!r}")

    is_regression, note = _kind(table[target], target, kind)
    notes.append(note)
    X = table.drop(columns=list(dict.fromkeys([target, *drop, *([weights] if weights else [])])))
    if not X.shape[1]:
        raise DataError(f"there is no column left beside the target {target!r}")
    notes += _suspicions(X)
    y = table[target].to_numpy(dtype=np.float64) if is_regression else _labels(table[target])
    weight = None
    if weights is not None:
        if not is_number(table[weights]):
            raise DataError(f"the weights in {weights!r} are not numbers")
        weight = table[weights].to_numpy(dtype=np.float64, na_value=np.nan)
        if not (np.isfinite(weight) & (weight >= 0)).all():
            raise DataError(
                f"the weights in {weights!r} are negative, infinite or missing somewhere"
            )
    return Task(X, y, weight, is_regression, tuple(notes))


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return objects that are numbers (such as decimals of a parquet file) as floats."""
    present = column.dropna()
    if column.dtype != object or not len(present):
        return column
    numbers = all(isinstance(v, Number) and not isinstance(v, bool) for v in present)
    return column.astype(np.float64) if numbers else column


def _kind(column: pd.Series[Any], target: str, kind: str) -> tuple[bool, str]:
    """Return whether it is a regression, and why."""
    count, number, measured = _count(column), is_number(column), is_measured(column)
    if kind == "regression":
        if not number:
            raise DataError(f"{target!r} holds no numbers, so it cannot be a regression's target")
        return True, f"regression of {target!r}, as asked"
    if count < 2:
        raise DataError(
            f"{target!r} has the same value in all {len(column):,} rows that have one; there is "
            "nothing to learn"
        )
    if kind == "classification":
        if number and bool((column % 1 != 0).any()):
            raise DataError(f"{target!r} has fractions, so its values are no classes")
        return False, f"classification of {target!r} into {count} classes, as asked"
    if not number:
        _refuse_unlikely_classes(column, target, count)
    if measured:
        what = "fractions" if count <= MANY_VALUES else f"{count:,} different numbers"
        override = "" if count <= MANY_VALUES else "; --task classification overrides"
        return True, f"regression, since {target!r} has {what}{override}"
    what = "are whole numbers; --task regression overrides" if number else "are no numbers"
    return False, f"classification, since the {count} values of {target!r} {what}"


def _refuse_unlikely_classes(column: pd.Series[Any], target: str, count: int) -> None:
    """Refuse text that is meant as numbers, most likely: each different one would be a class."""
    import pandas as pd

    override = "or --task classification takes each different value as a class"
    values = pd.Series(column.unique()).astype(str)
    numbers = pd.to_numeric(values, errors="coerce").notna()
    if not numbers.all() and numbers.sum() > max(MANY_VALUES, count / 2):
        raise DataError(
            f"{target!r} holds numbers, but also text such as {values[~numbers].iloc[0]!r}; remove "
            f"that, {override}"
        )
    if count > max(MANY_VALUES, len(column) / 2):
        raise DataError(
            f"{target!r} is text such as {values.iloc[0]!r}, and hardly two rows share one; write "
            f"numbers as 1234.5, {override}"
        )


def _labels(column: pd.Series[Any]) -> NDArray[Any]:
    """Return labels as NumPy has them: whole numbers (1.0 is 1), booleans, or strings."""
    labels: NDArray[Any]
    if is_number(column):
        largest = np.iinfo(np.int64).max
        labels = column.to_numpy(dtype=np.uint64 if column.max() > largest else np.int64)
    elif all(isinstance(value, (bool, np.bool_)) for value in column.unique()):
        labels = column.to_numpy(dtype=bool)
    else:
        labels = column.astype(str).to_numpy(dtype=object)
    return labels


def _suspicions(X: pd.DataFrame) -> list[str]:
    """Name columns that can be no features, or hardly.

    Raises
    ------
    DataError
        For a column of dates, times, or anything but numbers and text.
    """
    notes = []
    for name in X.columns:
        column = X[name]
        if column.dtype.kind in "mM":
            raise DataError(
                f"{name!r} holds dates or times ({column.dtype}); convert it to numbers, for "
                f"example days since a date, or leave it out: --drop {quote(name)}"
            )
        if is_number(column) and _counts_rows(column):
            notes.append(f"{name!r} only counts the rows; --drop {quote(name)} leaves it out")
        count = 0 if is_number(column) else _count(column)
        if count > max(MANY_VALUES, len(X) / 2):
            notes.append(
                f"{name!r} has {count:,} different values in {len(X):,} rows, so hardly "
                f"two rows share one; --drop {quote(name)} leaves it out"
            )
    return notes


def _count(column: pd.Series[Any]) -> int:
    """Return the number of different values."""
    try:
        return int(column.nunique())
    except TypeError as error:  # a parquet file's lists and structures
        name = str(column.name)
        raise DataError(
            f"{name!r} holds neither numbers nor text ({error}); leave it out: --drop {quote(name)}"
        ) from error


def _counts_rows(column: pd.Series[Any]) -> bool:
    """Whether each value is above the one before by 1, but for rows that were left out."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if len(values) <= MANY_VALUES or not np.isfinite(values).all():
        return False
    steps = np.diff(values)
    return bool((steps >= 1).all() and (steps % 1 == 0).all() and np.median(steps) == 1)
